//! What travels, as JSON Schema, for the OpenAPI document. The types themselves are in `shared` and in the
//! log, which know nothing of it; these stand for them. The golden files hold the two together.
#![allow(dead_code, reason = "they are described, never made")]

use serde_json::Value;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        ArrayBuilder, ObjectBuilder, OneOfBuilder, Ref, RefOr, Schema, SchemaFormat,
        schema::{SchemaType, Type},
    },
};

use rethread_shared::{ErrorCode, EventKind, limits::PUBLISH_EVENTS_MAX};

/// A conversation. `thread_{key}`; the key does not begin with `thread_`, and does not end as a
/// standard run's id does.
#[derive(ToSchema)]
#[schema(pattern = r"^thread_[A-Za-z0-9_.~-]{1,128}$", example = "thread_13679e4dcc38403a")]
pub(crate) struct ThreadId(String);

/// One execution of an agent. Standard form: `thread_{key}_run_{unix_ms}_{8 hex}`; legacy forms are
/// taken too.
#[derive(ToSchema)]
#[schema(
    min_length = 1,
    max_length = 175,
    example = "thread_13679e4dcc38403a_run_1756919162904_9adf1f09"
)]
pub(crate) struct RunId(String);

/// A UUID in its hyphenated form, best version 7.
#[derive(ToSchema)]
#[schema(format = "uuid", example = "0199108a-e818-71a0-9c10-5e2f7b10d43a")]
pub(crate) struct EventId(String);

/// One incarnation of a thread's log.
#[derive(ToSchema)]
#[schema(pattern = "^[0-9a-f]{8}$", example = "9f3a12bc")]
pub(crate) struct Epoch(String);

/// What happened: one of the known types, or any other of 1 to 256 bytes, which is carried unharmed.
pub(crate) struct Kind;

impl PartialSchema for Kind {
    fn schema() -> RefOr<Schema> {
        let known = EventKind::KNOWN.iter().map(|kind| Value::from(kind.as_str()));
        let text = ObjectBuilder::new()
            .schema_type(SchemaType::new(Type::String))
            .min_length(Some(1))
            .max_length(Some(256))
            .examples(known)
            .description(Some(
                "What happened: one of the known types, or any other of 1 to 256 bytes, \
                 which is carried unharmed.",
            ));
        text.into()
    }
}

impl ToSchema for Kind {}

/// The stable name of an error. A newer server may have more.
pub(crate) struct Code;

impl PartialSchema for Code {
    fn schema() -> RefOr<Schema> {
        let known = ErrorCode::ALL.iter().map(|code| Value::from(code.as_str()));
        let text = ObjectBuilder::new()
            .schema_type(SchemaType::new(Type::String))
            .enum_values(Some(known))
            .description(Some("The stable name of an error. Decide by it, never by the message."));
        text.into()
    }
}

impl ToSchema for Code {}

/// Any JSON.
pub(crate) struct Any;

impl PartialSchema for Any {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(SchemaType::AnyValue).into()
    }
}

impl ToSchema for Any {}

/// Milliseconds since 1970.
pub(crate) struct Millis;

impl PartialSchema for Millis {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::new(Type::Integer))
            .format(Some(SchemaFormat::KnownFormat(utoipa::openapi::KnownFormat::Int64)))
            .minimum(Some(0))
            .examples([Value::from(1_756_919_162_904_u64)])
            .description(Some("Milliseconds since 1970."))
            .into()
    }
}

impl ToSchema for Millis {}

/// A thread as it is now.
#[derive(ToSchema)]
pub(crate) struct Thread {
    thread: ThreadId,
    epoch: Epoch,
    /// The `seq` of its last event, 0 where there is none.
    head: u64,
    /// The `seq` of the first event that is kept, or will be; left out where it is 1.
    first: Option<u64>,
    /// The user who owns it.
    owner: String,
    created_at: Millis,
    /// What a list of threads shows for it.
    title: Option<String>,
}

/// An event as a publisher makes it. Further members are kept as they came.
#[derive(ToSchema)]
pub(crate) struct NewEvent {
    /// Makes publishing again harmless; without one a retry is stored twice.
    id: Option<EventId>,
    run: RunId,
    r#type: Kind,
    /// When it happened, by the publisher's clock.
    at: Option<Millis>,
    /// What goes with the type: see `AgentStarted` and the others. Left out, it is `{}`.
    data: Option<Any>,
}

/// One event, or several.
pub(crate) struct Events;

impl PartialSchema for Events {
    fn schema() -> RefOr<Schema> {
        let one = Ref::from_schema_name(NewEvent::name());
        let several = ArrayBuilder::new()
            .items(one.clone())
            .min_items(Some(1))
            .max_items(Some(PUBLISH_EVENTS_MAX));
        OneOfBuilder::new()
            .item(one)
            .item(several)
            .description(Some("One event, or several."))
            .into()
    }
}

impl ToSchema for Events {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        add::<NewEvent>(schemas);
    }
}

/// A stored event.
#[derive(ToSchema)]
pub(crate) struct Event {
    /// Its place in the thread: 1, 2, 3, … without holes.
    #[schema(minimum = 1)]
    seq: u64,
    id: EventId,
    run: RunId,
    r#type: Kind,
    at: Millis,
    /// What goes with the type: see `AgentStarted` and the others.
    data: Any,
}

/// The `data` of `agent_started`: an agent has taken the run on.
#[derive(ToSchema)]
pub(crate) struct AgentStarted {
    agent: String,
    /// What it says at its start.
    message: Option<String>,
}

/// The `data` of `agent_thinking`: a piece of what the agent thinks.
#[derive(ToSchema)]
pub(crate) struct AgentThinking {
    text: String,
}

/// The `data` of `tool_executing`: a tool works.
#[derive(ToSchema)]
pub(crate) struct ToolExecuting {
    /// Names the call within its run.
    call_id: String,
    tool: String,
    input: Option<Any>,
}

/// The `data` of `tool_completed`: with `output`, with `error`, or with neither.
#[derive(ToSchema)]
pub(crate) struct ToolCompleted {
    call_id: String,
    output: Option<Any>,
    /// What went wrong, for a person.
    error: Option<String>,
    /// Milliseconds.
    took_ms: Option<u64>,
}

/// The `data` of `agent_completed`: the run has ended well.
#[derive(ToSchema)]
pub(crate) struct AgentCompleted {
    result: Option<Any>,
    /// What it cost.
    usage: Option<Any>,
}

/// The `data` of `message_delta`: a piece of the answer.
#[derive(ToSchema)]
pub(crate) struct MessageDelta {
    message_id: String,
    text: String,
}

/// The `data` of `agent_failed`: the run has ended with an error.
#[derive(ToSchema)]
pub(crate) struct AgentFailed {
    /// A stable name, such as `agent_lost`.
    code: String,
    /// The same for a person.
    message: String,
}

/// The `data` of `agent_cancelled`: the run was stopped.
#[derive(ToSchema)]
pub(crate) struct AgentCancelled {
    /// The user who stopped it.
    by: String,
    reason: Option<String>,
}

/// The `data` of `user_message`: a person has spoken.
#[derive(ToSchema)]
pub(crate) struct UserMessage {
    message_id: String,
    text: String,
    /// The agent that is asked; none: any.
    agent: Option<String>,
    by: Option<String>,
}

/// The `data` of `custom`: something of the application's own.
#[derive(ToSchema)]
pub(crate) struct Custom {
    name: String,
    value: Any,
}

/// What became of a published event.
pub(crate) struct Outcome;

impl PartialSchema for Outcome {
    fn schema() -> RefOr<Schema> {
        OneOfBuilder::new()
            .item(Ref::from_schema_name(Stored::name()))
            .item(Ref::from_schema_name(Refused::name()))
            .description(Some("What became of a published event."))
            .into()
    }
}

impl ToSchema for Outcome {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        add::<Stored>(schemas);
        add::<Refused>(schemas);
    }
}

/// In the log, durable.
#[derive(ToSchema)]
pub(crate) struct Stored {
    id: EventId,
    thread: ThreadId,
    #[schema(minimum = 1)]
    seq: u64,
    /// True when it was there already.
    duplicate: Option<bool>,
}

/// Not in the log.
#[derive(ToSchema)]
pub(crate) struct Refused {
    /// The event's id, where it could be read.
    id: Option<EventId>,
    error: Error,
}

/// An error as it travels.
#[derive(ToSchema)]
pub(crate) struct Error {
    code: Code,
    /// The same for a person: what was expected, what came, what to do.
    message: String,
    /// What would have been right.
    expected: Option<String>,
    /// What came, shortened.
    received: Option<String>,
    /// Each step that was tried to find a run's thread, and what it saw.
    tried: Option<Vec<String>>,
    /// How long to wait before trying again, milliseconds.
    retry_after_ms: Option<u64>,
}

/// The body of an answer that is an error.
#[derive(ToSchema)]
pub(crate) struct ErrorBody {
    error: Error,
}

/// Events of a thread, in order, without holes.
#[derive(ToSchema)]
pub(crate) struct Page {
    thread: ThreadId,
    epoch: Epoch,
    /// The `seq` of the thread's last event.
    head: u64,
    /// The `seq` of the first event here; one beyond `last` where there is none.
    first: u64,
    /// The `seq` of the last event here.
    last: u64,
    events: Vec<Event>,
    /// True when there are events after `last`.
    more: bool,
}

/// What no body names, and every reader needs: what goes with each type of event, and errors.
pub(crate) fn unnamed() -> Vec<(String, RefOr<Schema>)> {
    let mut schemas = Vec::new();
    add::<AgentStarted>(&mut schemas);
    add::<AgentThinking>(&mut schemas);
    add::<ToolExecuting>(&mut schemas);
    add::<ToolCompleted>(&mut schemas);
    add::<AgentCompleted>(&mut schemas);
    add::<MessageDelta>(&mut schemas);
    add::<AgentFailed>(&mut schemas);
    add::<AgentCancelled>(&mut schemas);
    add::<UserMessage>(&mut schemas);
    add::<Custom>(&mut schemas);
    add::<ErrorBody>(&mut schemas);
    schemas
}

fn add<T: ToSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
}
