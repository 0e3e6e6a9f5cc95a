//! Every limit of this agent: name, value, reason.

use std::time::Duration;

/// Runs that are answered at once. Answering is cheap offline; online each holds one request to the
/// model, and providers refuse more than a few at a time.
pub(crate) const RUNS_AT_ONCE_MAX: usize = 8;
/// Runs that have started and wait for a free place. Beyond: the run fails with `agent_busy`, which
/// a person understands better than silence.
pub(crate) const RUNS_WAITING_MAX: usize = 64;
/// Steps of one run on their way to the server. When it is full the answer waits, not the memory.
pub(crate) const STEPS_QUEUED_MAX: usize = 64;
/// How long a stopping agent tries to tell the server about the runs it gives up.
pub(crate) const STOP_DEADLINE: Duration = Duration::from_secs(5);
/// First and largest wait between attempts to get a token from a server that is not up yet.
pub(crate) const DEV_TOKEN_WAITS: [Duration; 2] =
    [Duration::from_millis(250), Duration::from_secs(5)];
/// How long one request for a token may take.
pub(crate) const DEV_TOKEN_DEADLINE: Duration = Duration::from_secs(10);

/// Files in the index; those after are left out, and the start says so.
pub(crate) const FILES_MAX: usize = 2_000;
/// Bytes of a file that is indexed or read. Larger text files are data, not documents.
pub(crate) const FILE_BYTES_MAX: u64 = 512 * 1024;
/// Bytes of all files in the index together; bounds the memory to some hundred MiB.
pub(crate) const FOLDER_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// How deep folders are followed.
pub(crate) const FOLDER_DEPTH_MAX: usize = 16;
/// Bytes of a passage: two or three paragraphs, what a person reads at a glance.
pub(crate) const PASSAGE_BYTES_MAX: usize = 1_600;
/// Lines of a passage.
pub(crate) const PASSAGE_LINES_MAX: usize = 40;

/// Bytes of a query. A longer one is a pasted document, and ranks everything alike.
pub(crate) const QUERY_BYTES_MAX: usize = 2_000;
/// Passages that `search` gives when not told how many.
pub(crate) const SEARCH_LIMIT_DEFAULT: usize = 6;
/// The most passages that `search` gives: with the passage's size, 32 KiB.
pub(crate) const SEARCH_LIMIT_MAX: usize = 20;
/// Lines that one `read_file` gives.
pub(crate) const READ_LINES_MAX: usize = 200;
/// Bytes that one `read_file` gives.
pub(crate) const READ_BYTES_MAX: usize = 16 * 1024;
/// Bytes of an expression. The parser works on the stack; nobody types more.
pub(crate) const EXPRESSION_BYTES_MAX: usize = 256;
/// Parentheses within parentheses in an expression.
pub(crate) const EXPRESSION_DEPTH_MAX: usize = 32;
/// How long one tool may take. They read local files: longer means a dead disk.
pub(crate) const TOOL_DEADLINE: Duration = Duration::from_secs(10);

/// Messages of the conversation that an answer takes into account.
pub(crate) const HISTORY_TURNS_MAX: usize = 12;
/// Events before a message that are read for them.
pub(crate) const HISTORY_EVENTS_MAX: u64 = 1_000;
/// Bytes of one of those messages; the rest is cut off.
pub(crate) const HISTORY_TURN_BYTES_MAX: usize = 4_000;
/// How long reading them may take; an answer without history is better than none.
pub(crate) const HISTORY_DEADLINE: Duration = Duration::from_secs(3);

/// Requests to the model in one run. Each tool call needs one more.
pub(crate) const MODEL_TURNS_MAX: usize = 8;
/// Tool calls that the model may ask for in one turn.
pub(crate) const MODEL_CALLS_MAX: usize = 8;
/// Bytes of the arguments of one such call.
pub(crate) const MODEL_ARGUMENTS_BYTES_MAX: usize = 16 * 1024;
/// Bytes of the answer that the model writes. A model that repeats itself is stopped here.
pub(crate) const MODEL_ANSWER_BYTES_MAX: usize = 64 * 1024;
/// How long the model may be silent, before its first word and between two.
pub(crate) const MODEL_SILENCE: Duration = Duration::from_secs(90);
