//! What was said in a thread before a message, for follow-up questions.

use rethread_client::native::{Client, Delivery, Error, Start, Work};
use rethread_shared::{Event, Payload, RunId, id::Position};
use tokio::sync::Mutex;

use crate::{
    answer::Turn,
    limits::{HISTORY_DEADLINE, HISTORY_EVENTS_MAX, HISTORY_TURN_BYTES_MAX, HISTORY_TURNS_MAX},
    tools::cut,
};

/// Reads histories, one at a time: a client follows a thread once only, and two runs may be of one.
#[derive(Debug, Default)]
pub(crate) struct Histories(Mutex<()>);

impl Histories {
    /// The last turns before the work's message, oldest first; none when they cannot be had in time.
    pub(crate) async fn before(&self, client: &Client, work: &Work) -> Vec<Turn> {
        if work.message.seq <= 1 {
            return Vec::new();
        }
        let read = async {
            let _alone = self.0.lock().await;
            read(client, work).await
        };
        match tokio::time::timeout(HISTORY_DEADLINE, read).await {
            Ok(Ok(turns)) => turns,
            Ok(Err(error)) => {
                tracing::warn!(thread = %work.thread, %error, "its history cannot be read");
                Vec::new()
            }
            Err(_) => {
                tracing::warn!(thread = %work.thread, "its history did not come in time");
                Vec::new()
            }
        }
    }
}

async fn read(client: &Client, work: &Work) -> Result<Vec<Turn>, Error> {
    // Only who stands at the end learns the epoch, without which there is no going back.
    let epoch = client.subscribe(&work.thread, Start::Now).await?.position().epoch;
    let seq = work.message.seq.saturating_sub(HISTORY_EVENTS_MAX + 1);
    let after = Start::After(Position { epoch, seq });
    let mut thread = client.subscribe(&work.thread, after).await?;
    let mut turns = Turns::default();
    while let Some(delivery) = thread.next().await {
        let Delivery::Events(batch) = delivery else {
            continue;
        };
        for event in batch.events.iter().filter(|event| event.seq < work.message.seq) {
            turns.add(event);
        }
        if batch.last + 1 >= work.message.seq {
            break;
        }
    }
    Ok(turns.last())
}

/// A conversation as it is read.
#[derive(Debug, Default)]
struct Turns {
    turns: Vec<(RunId, Turn)>,
}

impl Turns {
    fn add(&mut self, event: &Event) {
        match event.payload() {
            Ok(Payload::UserMessage(message)) => {
                let text = cut(&message.text, HISTORY_TURN_BYTES_MAX).to_owned();
                self.turns.push((event.run.clone(), Turn::Person(text)));
            }
            Ok(Payload::MessageDelta(delta)) => {
                let own = |(run, turn): &&mut (RunId, Turn)| {
                    *run == event.run && matches!(turn, Turn::Agent(_))
                };
                if let Some((_, Turn::Agent(text))) = self.turns.iter_mut().rev().find(own) {
                    let room = HISTORY_TURN_BYTES_MAX.saturating_sub(text.len());
                    text.push_str(cut(&delta.text, room));
                } else {
                    self.turns.push((event.run.clone(), Turn::Agent(delta.text.into_owned())));
                }
            }
            _ => {}
        }
    }

    fn last(self) -> Vec<Turn> {
        let from = self.turns.len().saturating_sub(HISTORY_TURNS_MAX);
        self.turns.into_iter().skip(from).map(|(_, turn)| turn).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn event(seq: u64, run: u64, kind: &str, data: Value) -> Event {
        let event = json!({
            "seq": seq, "id": "01990b3c-1f2a-7e3b-8c4d-5e6f708192a3", "at": 1, "type": kind,
            "run": format!("thread_1_run_{run}_0a0b0c0d"), "data": data,
        });
        serde_json::from_str(&event.to_string()).unwrap()
    }

    #[test]
    fn pieces_of_one_answer_are_one_turn() {
        let mut turns = Turns::default();
        let delta = |text: &str| json!({ "message_id": "m", "text": text });
        for event in [
            event(1, 1, "user_message", json!({ "message_id": "q", "text": "One?" })),
            event(2, 1, "agent_started", json!({ "agent": "docs" })),
            event(3, 1, "message_delta", delta("The ")),
            event(4, 2, "user_message", json!({ "message_id": "r", "text": "Two?" })),
            event(5, 1, "message_delta", delta("first.")),
            event(6, 2, "message_delta", delta(&"x".repeat(HISTORY_TURN_BYTES_MAX))),
            event(7, 2, "message_delta", delta("y")),
            event(8, 2, "mood_changed", json!({})),
        ] {
            turns.add(&event);
        }
        let expected = vec![
            Turn::Person("One?".into()),
            Turn::Agent("The first.".into()),
            Turn::Person("Two?".into()),
            Turn::Agent("x".repeat(HISTORY_TURN_BYTES_MAX)),
        ];
        assert_eq!(turns.last(), expected);
    }
}
