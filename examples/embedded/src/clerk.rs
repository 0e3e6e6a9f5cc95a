//! An agent in the same process: it takes what customers write, and answers.

use rethread_server::{
    Trusted,
    trusted::{Serving, Task},
};
use rethread_shared::{
    WireError,
    event::{AgentCompleted, AgentStarted, MessageDelta},
    frame::Work,
};

use crate::shop::Shop;

/// Answers until the server stops.
pub(crate) async fn work(clerk: Trusted, shop: Shop) {
    let mut serving = match clerk.serve("clerk").await {
        Ok(serving) => serving,
        Err(error) => return tracing::error!(%error, "there is no clerk"),
    };
    while let Some(task) = serving.next().await {
        // What was stopped needs no more of an answer; this clerk answers in one go.
        let Task::Work(work) = task else { continue };
        if let Err(error) = answer(&serving, &shop, &work).await {
            tracing::error!(run = %work.run, %error, "not answered");
        }
    }
}

async fn answer(clerk: &Serving, shop: &Shop, work: &Work) -> Result<(), WireError> {
    clerk.publish(&work.run, AgentStarted { agent: "clerk".into(), message: None }).await?;
    let text = match &shop.orders(&work.thread)[..] {
        [] => format!("You have ordered nothing yet, {}.", work.message.by),
        orders => format!("You have ordered {}.", orders.join(", ")),
    };
    let message = MessageDelta { message_id: "answer".into(), text: text.into() };
    clerk.publish(&work.run, message).await?;
    clerk.publish(&work.run, AgentCompleted::default()).await?;
    Ok(())
}
