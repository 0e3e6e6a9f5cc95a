//! A publisher in the same process: typed events, no HTTP, no token.

use rethread_server::Trusted;
use rethread_shared::{
    RunId, WireError,
    event::{AgentCompleted, AgentStarted, MessageDelta, ToolCompleted, ToolExecuting},
};

/// Packs what was ordered, and tells each step as it is done.
pub(crate) async fn pack(warehouse: &Trusted, run: &RunId, item: &str) -> Result<(), WireError> {
    warehouse.publish(run, AgentStarted { agent: "warehouse".into(), message: None }).await?;
    let call = ToolExecuting { call_id: "1".into(), tool: "fetch_from_shelf".into(), input: None };
    warehouse.publish(run, call).await?;
    let fetched = ToolCompleted { call_id: "1".into(), ..ToolCompleted::default() };
    warehouse.publish(run, fetched).await?;
    let text = format!("Your order is packed: {item}.");
    let message = MessageDelta { message_id: "packed".into(), text: text.into() };
    warehouse.publish(run, message).await?;
    warehouse.publish(run, AgentCompleted::default()).await?;
    Ok(())
}
