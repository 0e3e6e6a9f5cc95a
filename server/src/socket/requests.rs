//! What a client asks for, op by op.

use std::{borrow::Cow, str::FromStr, sync::Arc};

use rethread_shared::{
    ErrorCode, EventId, IdError, RunId, ThreadId, WireError,
    event::Envelope,
    frame::{
        self, Cancel, Cancelled, Hello, Publish, Serve, Start, Subscribe, Unsubscribe, Welcome,
        WireErrorFrame,
    },
    limits::{
        Announced, EVENT_BYTES_MAX, FRAME_BYTES_MAX, PUBLISH_EVENTS_MAX, PUBLISHES_IN_FLIGHT_MAX,
    },
    mask_tokens,
};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{
    Socket,
    answers::{Frame, error, not_subscribed, published, refused, text},
};
use crate::{
    auth::{Grant, Scope},
    bridge::publish::{Events, Publisher},
    refusals::Asker,
};

/// What a client can ask for.
pub(super) const OPS: [&str; 8] =
    ["hello", "subscribe", "unsubscribe", "publish", "send", "cancel", "serve", "ping"];

/// What a person must do about a frame that could not be read.
const SEE: &str = "see PROTOCOL.md for the frames";

impl Socket {
    /// Takes one frame. What it refuses is answered with an `error`; the connection goes on.
    pub(super) async fn request(&mut self, json: &str) -> Result<(), WireErrorFrame> {
        if json.len() > FRAME_BYTES_MAX {
            return Err(error(WireError::new(
                ErrorCode::FrameTooLarge,
                format!(
                    "the frame has {} bytes, at most {FRAME_BYTES_MAX} are allowed",
                    json.len()
                ),
            )));
        }
        if let Some((req, events)) = publish_at_once(json)
            && let Some(access) = &self.access
        {
            let grant = access.grant().clone();
            return self.publish(req, events, &grant).await;
        }
        let op = frame::op(json).map_err(|cause| {
            error(
                WireError::new(ErrorCode::BadFrame, format!("the frame cannot be read: {cause}"))
                    .with_expected(r#"a JSON object with a member "op""#)
                    .with_received(json),
            )
        })?;
        if op == "hello" {
            return self.hello(read(json)?).await;
        }
        let Some(grant) = self.access.as_ref().map(|access| access.grant().clone()) else {
            return Err(error(
                WireError::new(ErrorCode::HelloRequired, "the first frame must be `hello`")
                    .with_received(&op),
            ));
        };
        match op.as_ref() {
            "subscribe" => self.subscribe(read(json)?, &grant).await,
            "unsubscribe" => {
                let Unsubscribe { thread } = read(json)?;
                self.deliveries.unsubscribe(&thread);
                Ok(())
            }
            "publish" => {
                let Publish::<&RawValue> { req, events } = read(json)?;
                let events: Vec<&str> = events.into_iter().map(RawValue::get).collect();
                self.publish(req, Events::Texts(&events), &grant).await
            }
            "send" => self.send(read(json)?, &grant).await,
            "cancel" => self.cancel(read(json)?, grant),
            "serve" => {
                let Serve { agent, runs } = read(json)?;
                let served = self.shared.bridge.serve(self.place.id, &agent, &runs, &grant).await;
                served.map_err(error)
            }
            "ping" => self.answer(&Frame::Beat).await,
            unknown => Err(error(
                WireError::new(ErrorCode::UnknownOp, format!("no such op; {SEE}"))
                    .with_expected(
                        "hello, subscribe, unsubscribe, publish, send, cancel, serve or ping",
                    )
                    .with_received(unknown),
            )),
        }
    }

    async fn hello(&mut self, hello: Hello) -> Result<(), WireErrorFrame> {
        let client = hello.client.map(mask_tokens);
        let grant = self.shared.gate.check(&hello.token).await.map_err(error)?;
        let (id, bridge) = (self.place.id, &self.shared.bridge);
        match &mut self.access {
            // Another user would inherit subscriptions that it may not have.
            Some(access) if access.grant().user() != grant.user() => {
                return Err(error(
                    WireError::new(
                        ErrorCode::Unauthorized,
                        "the new token names another user; open another connection for it",
                    )
                    .with_expected(access.grant().user().as_ref())
                    .with_received(grant.user()),
                ));
            }
            Some(access) => {
                access.renew(grant.clone());
                grant.require_alive().map_err(error)?;
                bridge.regranted(id, &grant);
            }
            None => {
                let of_user = self.shared.guard.connect(&grant).map_err(error)?;
                self.access = Some(self.shared.gate.enter(grant.clone()).map_err(error)?);
                self.place.keep(of_user);
                self.wire.open();
                bridge.connected(id, self.notes.0.clone(), &grant);
                let client = client.as_deref().unwrap_or("unnamed");
                let request = &self.request.id;
                tracing::debug!(connection = id.0, %request, user = %grant.user(), client, "hello");
            }
        }
        self.place.card().introduce(grant.user(), client.as_deref());
        self.answer(&Frame::Welcome(Welcome {
            session: format!("{:x}", id.0),
            heartbeat_ms: self.shared.heartbeat.as_millis() as u64,
            limits: Announced::default(),
        }))
        .await?;
        for refusal in self.deliveries.keep_granted(&self.shared.bridge, &grant) {
            self.answer(&Frame::Error(refusal)).await?;
        }
        Ok(())
    }

    async fn subscribe(&mut self, ask: Subscribe, grant: &Grant) -> Result<(), WireErrorFrame> {
        let Subscribe { thread, after } = ask;
        let refuse = |error| not_subscribed(&thread, error);
        if matches!(after, Start::After(_)) && !std::mem::replace(&mut self.came_back, true) {
            self.outgoing().reconnects.increment(1);
        }
        let (feeds, card) = (self.shared.connections.feeds(), self.place.card());
        let bridge = &self.shared.bridge;
        let opening = self.deliveries.subscribe(bridge, grant, &thread, after, feeds, card);
        let opening = opening.map_err(refuse)?;
        if let Some(reset) = opening.reset {
            self.answer(&Frame::Reset(reset)).await?;
        }
        self.answer(&Frame::Subscribed(opening.subscribed)).await
    }

    async fn publish(
        &mut self,
        req: u64,
        events: Events<'_>,
        grant: &Arc<Grant>,
    ) -> Result<(), WireErrorFrame> {
        grant.require(Scope::Publish).map_err(|error| refused(req, error))?;
        self.require_room(req)?;
        if events.is_empty() || events.len() > PUBLISH_EVENTS_MAX {
            return Err(refused(req, wrong_number(events.len())));
        }
        self.shared.guard.publish(grant, events.len()).map_err(|error| refused(req, error))?;
        let request = &self.request.within(req);
        let by = Publisher { grant, connection: Some(self.place.id), request };
        self.shared.bridge.admit(&events).map_err(|error| refused(req, error))?;
        let ticket = self.answers.ticket();
        let tell = move |results| ticket.give(published(req, results));
        self.shared.bridge.publish_telling(by, events, tell).await;
        Ok(())
    }

    async fn send(&mut self, ask: frame::Send, grant: &Grant) -> Result<(), WireErrorFrame> {
        let req = ask.req;
        self.require_room(req)?;
        self.shared.guard.send(grant).map_err(|error| refused(req, error))?;
        let sent = self.shared.bridge.send(ask, grant).await;
        let sent = sent.map_err(|error| refused(req, error))?;
        let refusals = self.shared.bridge.refusals().clone();
        let (request, user) = (self.request.within(req), grant.user().clone());
        self.answers.push(async move {
            text(&match sent.await {
                Ok(sent) => Frame::Sent(sent),
                Err(error) => {
                    let asker = Asker { request: &request, asked: "send", user: Some(&user) };
                    refusals.note(asker, &error);
                    Frame::Error(refused(req, error))
                }
            })
        });
        Ok(())
    }

    fn cancel(&mut self, ask: Cancel, grant: Arc<Grant>) -> Result<(), WireErrorFrame> {
        self.require_room(ask.req)?;
        let bridge = self.shared.bridge.clone();
        let request = self.request.within(ask.req);
        self.answers.push(async move {
            let Cancel { req, run, reason } = ask;
            text(&match bridge.cancel(&run, reason.as_deref(), &grant).await {
                Ok(seq) => Frame::Cancelled(Cancelled { req: Some(req), run, seq }),
                Err(error) => {
                    let asker =
                        Asker { request: &request, asked: "cancel", user: Some(grant.user()) };
                    bridge.refusals().note(asker, &error);
                    Frame::Error(refused(req, error))
                }
            })
        });
        Ok(())
    }

    fn require_room(&self, req: u64) -> Result<(), WireErrorFrame> {
        if self.answers.len() < PUBLISHES_IN_FLIGHT_MAX {
            return Ok(());
        }
        let full = WireError::new(
            ErrorCode::TooManyInFlight,
            format!("{PUBLISHES_IN_FLIGHT_MAX} requests wait for their answer; take those first"),
        );
        Err(refused(req, full.with_retry_after_ms(50)))
    }

    async fn answer(&mut self, frame: &Frame) -> Result<(), WireErrorFrame> {
        // The loop finds out with its next write.
        let _ = self.write(text(frame)).await;
        Ok(())
    }
}

/// A publish that begins as clients write it, read with its events in one pass where others take three. `None`
/// for all else, and where it or one of its events cannot be read, or may be too large: then it is read as any
/// frame is, and told what is wrong with what.
fn publish_at_once(json: &str) -> Option<(u64, Events<'_>)> {
    #[derive(Deserialize)]
    struct Whole<'a> {
        #[serde(borrow)]
        op: Cow<'a, str>,
        req: u64,
        #[serde(borrow)]
        events: Vec<Envelope<'a>>,
    }
    if !json.starts_with(r#"{"op":"publish""#) || json.len() > EVENT_BYTES_MAX {
        return None;
    }
    let Whole { op, req, events } = serde_json::from_str(json).ok()?;
    (op == "publish").then_some((req, Events::Read { envelopes: events, bytes: json.len() }))
}

/// The refusal of a publish with no events, or with too many.
pub(crate) fn wrong_number(events: usize) -> WireError {
    if events == 0 {
        return WireError::new(ErrorCode::BadFrame, "the publish has no events")
            .with_expected("at least one event");
    }
    WireError::new(
        ErrorCode::TooManyEvents,
        format!("the publish has {events} events, at most {PUBLISH_EVENTS_MAX} are allowed"),
    )
}

/// Reads the frame of an op. Its `req`, if it has a readable one, goes with the refusal; where an id is
/// what is wrong, the refusal is the id's.
fn read<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, WireErrorFrame> {
    serde_json::from_str(json).map_err(|cause| {
        let frame: Value = serde_json::from_str(json).unwrap_or_default();
        let error = bad_id(&frame).map(WireError::from).unwrap_or_else(|| {
            WireError::new(
                ErrorCode::BadFrame,
                format!("the frame is not as expected: {cause}; {SEE}"),
            )
            .with_received(json)
        });
        WireErrorFrame { req: frame["req"].as_u64(), thread: None, error }
    })
}

/// What is wrong with the first id in a frame that is none.
fn bad_id(frame: &Value) -> Option<IdError> {
    fn refuse<T: FromStr<Err = IdError>>(id: &Value) -> Option<IdError> {
        id.as_str()?.parse::<T>().err()
    }
    refuse::<ThreadId>(&frame["thread"])
        .or_else(|| refuse::<RunId>(&frame["run"]))
        .or_else(|| refuse::<EventId>(&frame["message_id"]))
        .or_else(|| frame["runs"].as_array()?.iter().find_map(refuse::<RunId>))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = r#"{"run":"thread_a","type":"custom","data":{"name":"]","value":[1]}}"#;

    #[test]
    fn a_publish_is_read_at_once_as_it_is_in_steps_or_not_at_all() {
        let taken = format!(r#"{{"op":"publish","req":7,"new":[1],"events":[{EVENT}, {EVENT}]}}"#);
        let Some((7, Events::Read { envelopes, bytes })) = publish_at_once(&taken) else {
            panic!("it begins as it should")
        };
        let alone = Envelope::read(EVENT).unwrap();
        assert_eq!(bytes, taken.len());
        assert_eq!(envelopes.len(), 2);
        for envelope in envelopes {
            assert_eq!(format!("{envelope:?}"), format!("{alone:?}"));
        }
        let wide = format!(r#"{{"op":"publish","req":7,"x":"{}"}}"#, "x".repeat(EVENT_BYTES_MAX));
        for other in [
            r#"{"op":"publish","op":"publish","req":7,"events":[]}"#,
            r#"{"op":"publisher","req":7,"events":[]}"#,
            r#"{"op":"publish","req":-7,"events":[]}"#,
            r#"{"op":"publish","req":7,"events":[{]}"#,
            r#"{"op":"publish","req":7,"events":[{}]}"#,
            r#"{"req":7,"op":"publish","events":[]}"#,
            r#"{"op":"publish","req":7}"#,
            &wide,
        ] {
            assert!(publish_at_once(other).is_none(), "{other}");
        }
    }
}
