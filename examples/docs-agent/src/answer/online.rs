//! Answering with a language model behind the chat-completions API, which calls the tools.

use std::collections::BTreeMap;

use async_openai::{
    Client,
    config::OpenAIConfig,
    error::OpenAIError,
    types::chat::{
        ChatCompletionMessageToolCall, ChatCompletionMessageToolCallChunk,
        ChatCompletionRequestAssistantMessage, ChatCompletionRequestMessage,
        ChatCompletionRequestSystemMessage, ChatCompletionRequestToolMessage,
        ChatCompletionRequestUserMessage, ChatCompletionStreamOptions, ChatCompletionTool,
        ChatCompletionTools, CompletionUsage, CreateChatCompletionRequest, FinishReason,
        FunctionCall, FunctionObject,
    },
};
use futures_util::StreamExt;
use serde_json::{Value, json};

use super::{Answered, Failure, Question, Turn};
use crate::{
    limits::{
        MODEL_ANSWER_BYTES_MAX, MODEL_ARGUMENTS_BYTES_MAX, MODEL_CALLS_MAX, MODEL_SILENCE,
        MODEL_TURNS_MAX,
    },
    tools::Tools,
    voice::Voice,
};

const INSTRUCTIONS: &str = "You answer questions about a folder of documents. Look with `search` \
    before you answer, read more with `read_file` where a passage is not enough, and use \
    `calculate` for arithmetic. Say only what the documents say; when they do not say it, say so. \
    Answer briefly in Markdown, and name your sources as `file:line`.";

/// Which model, and where.
#[derive(Clone)]
pub(crate) struct Model {
    pub(crate) name: String,
    /// The API's address, up to and with `/v1`.
    pub(crate) base_url: String,
    /// Empty for a local server that wants none.
    pub(crate) key: String,
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model")
            .field("name", &self.name)
            .field("base_url", &self.base_url)
            .finish_non_exhaustive()
    }
}

/// The answerer that asks a model.
#[derive(Debug)]
pub(crate) struct Online {
    client: Client<OpenAIConfig>,
    model: Model,
    tools: Tools,
}

/// What one request to the model brought.
#[derive(Debug, Default)]
struct Said {
    text: String,
    calls: BTreeMap<u32, ChatCompletionMessageToolCall>,
    usage: Option<CompletionUsage>,
    finish: Option<FinishReason>,
}

impl Online {
    pub(crate) fn new(model: Model, tools: Tools) -> Self {
        let config = OpenAIConfig::new()
            .with_api_base(model.base_url.trim_end_matches('/'))
            .with_api_key(&model.key);
        Self { client: Client::with_config(config), model, tools }
    }

    pub(crate) fn about(&self) -> String {
        let files = self.tools.index().docs().files.len();
        format!("I ask {} and give it {files} documents to search.", self.model.name)
    }

    /// Lets the model answer: a bounded loop of its turns, each with the outputs of the tools that
    /// it called in the one before.
    ///
    /// # Errors
    /// When the model cannot be reached, refuses, breaks off, or only ever calls tools.
    pub(crate) async fn answer(
        &self,
        question: &Question,
        voice: &Voice,
    ) -> Result<Answered, Failure> {
        let mut messages = conversation(question);
        let (mut spent, mut calls, mut written) = (Usage::default(), 0, 0);
        for turn in 1..=MODEL_TURNS_MAX {
            // The last turn has no tools, so that it can only answer.
            let with_tools = turn < MODEL_TURNS_MAX;
            let said = self.turn(&messages, with_tools, &mut written, voice).await?;
            spent.add(said.usage.as_ref());
            if said.calls.is_empty() {
                let result = json!({
                    "mode": "online", "model": self.model.name, "turns": turn, "tool_calls": calls,
                });
                return self
                    .finished(&said, written)
                    .map(|()| Answered { result, usage: spent.report() });
            }
            if written > 0 && !said.text.is_empty() {
                voice.say("\n\n").await;
            }
            calls += said.calls.len();
            messages.extend(self.call_tools(said, voice).await);
        }
        Err(Failure {
            code: "model_undecided",
            message: format!(
                "{} went on calling tools for {MODEL_TURNS_MAX} turns without an answer; \
                 ask something narrower, or set OPENAI_MODEL to another model",
                self.model.name
            ),
        })
    }

    /// One request: passes the text on as it comes and collects the calls of tools.
    async fn turn(
        &self,
        messages: &[ChatCompletionRequestMessage],
        with_tools: bool,
        written: &mut usize,
        voice: &Voice,
    ) -> Result<Said, Failure> {
        voice.think(&format!("I ask {}.", self.model.name)).await;
        let request = CreateChatCompletionRequest {
            model: self.model.name.clone(),
            messages: messages.to_vec(),
            tools: with_tools.then(tools),
            stream_options: Some(ChatCompletionStreamOptions {
                include_usage: Some(true),
                include_obfuscation: None,
            }),
            ..CreateChatCompletionRequest::default()
        };
        let chat = self.client.chat();
        let dial = tokio::time::timeout(MODEL_SILENCE, chat.create_stream(request));
        let mut stream = dial.await.map_err(|_| self.silent())?.map_err(|e| self.refused(&e))?;
        let mut said = Said::default();
        loop {
            let next = tokio::time::timeout(MODEL_SILENCE, stream.next());
            let Some(chunk) = next.await.map_err(|_| self.silent())? else {
                break;
            };
            let chunk = chunk.map_err(|error| self.refused(&error))?;
            said.usage = chunk.usage.or(said.usage);
            let Some(choice) = chunk.choices.into_iter().next() else {
                continue;
            };
            said.finish = choice.finish_reason.or(said.finish);
            let text = choice.delta.content.or(choice.delta.refusal).unwrap_or_default();
            if !text.is_empty() {
                *written += text.len();
                if *written > MODEL_ANSWER_BYTES_MAX {
                    return Err(
                        self.failure("model_too_long", "wrote more than an answer may have")
                    );
                }
                voice.say(&text).await;
                said.text.push_str(&text);
            }
            for piece in choice.delta.tool_calls.unwrap_or_default() {
                self.collect(&mut said, piece)?;
            }
        }
        if said.finish.is_none() {
            return Err(self.failure("model_broke_off", "broke off in the middle of its answer"));
        }
        Ok(said)
    }

    /// Adds a piece of a call: its id and name come first, its arguments bit by bit.
    fn collect(
        &self,
        said: &mut Said,
        piece: ChatCompletionMessageToolCallChunk,
    ) -> Result<(), Failure> {
        let call = said.calls.entry(piece.index).or_default();
        let function = piece.function.unwrap_or_default();
        call.id.push_str(&piece.id.unwrap_or_default());
        call.function.name.push_str(&function.name.unwrap_or_default());
        call.function.arguments.push_str(&function.arguments.unwrap_or_default());
        let bytes = call.function.arguments.len() + call.function.name.len() + call.id.len();
        if bytes > MODEL_ARGUMENTS_BYTES_MAX || said.calls.len() > MODEL_CALLS_MAX {
            return Err(
                self.failure("model_excessive", "called more tools, or with more, than it may")
            );
        }
        Ok(())
    }

    /// Calls the tools that the model asked for. Errors are outputs: the model may do better then.
    async fn call_tools(&self, said: Said, voice: &Voice) -> Vec<ChatCompletionRequestMessage> {
        let calls: Vec<_> = said.calls.into_values().collect();
        let mut outputs = Vec::new();
        for call in &calls {
            let FunctionCall { name, arguments } = &call.function;
            let input = if arguments.trim().is_empty() { "{}" } else { arguments };
            // Arguments that are no JSON go to the tool as text, which refuses them by its schema.
            let input = serde_json::from_str(input).unwrap_or_else(|_| Value::from(input));
            let output = match voice.tool(&self.tools, name, input).await {
                Ok(output) => output,
                Err(error) => json!({ "error": error.to_string() }),
            };
            outputs.push(ChatCompletionRequestMessage::from(ChatCompletionRequestToolMessage {
                content: output.to_string().into(),
                tool_call_id: call.id.clone(),
            }));
        }
        let asked = ChatCompletionRequestAssistantMessage {
            content: (!said.text.is_empty()).then(|| said.text.into()),
            tool_calls: Some(calls.into_iter().map(Into::into).collect()),
            ..ChatCompletionRequestAssistantMessage::default()
        };
        let mut messages = vec![asked.into()];
        messages.append(&mut outputs);
        messages
    }

    /// An answer must be whole, and there must be one.
    fn finished(&self, said: &Said, written: usize) -> Result<(), Failure> {
        match said.finish {
            Some(FinishReason::Length) => {
                Err(self.failure("model_too_long", "reached its limit before the answer's end"))
            }
            Some(FinishReason::ContentFilter) => {
                Err(self.failure("model_filtered", "withheld its answer (content filter)"))
            }
            _ if written == 0 => Err(self.failure("model_silent", "answered with nothing")),
            _ => Ok(()),
        }
    }

    fn silent(&self) -> Failure {
        self.failure("model_silent", &format!("said nothing for {} s", MODEL_SILENCE.as_secs()))
    }

    fn failure(&self, code: &'static str, what: &str) -> Failure {
        let name = &self.model.name;
        Failure { code, message: format!("The model {name} {what}; ask again, or differently.") }
    }

    /// What a refusal means for the person who set this agent up.
    fn refused(&self, error: &OpenAIError) -> Failure {
        let (name, url) = (&self.model.name, &self.model.base_url);
        let status = match error {
            OpenAIError::ApiError(refusal) => Some(refusal.status_code.as_u16()),
            OpenAIError::Reqwest(error) => error.status().map(|status| status.as_u16()),
            _ => None,
        };
        let (code, what) = match (status, error) {
            (Some(401 | 403), _) => {
                ("model_unauthorized", format!("{url} refuses the key; check OPENAI_API_KEY"))
            }
            (Some(404), _) => (
                "model_not_found",
                format!("{url} has no model {name}; check OPENAI_MODEL and OPENAI_BASE_URL"),
            ),
            (Some(429), _) => (
                "model_busy",
                format!("{url} takes no more requests now; wait, or check the account's quota"),
            ),
            (None, OpenAIError::Reqwest(error)) if error.is_connect() => (
                "model_unreachable",
                format!("cannot reach {url}; check OPENAI_BASE_URL and that the server runs"),
            ),
            (None, OpenAIError::StreamError(_)) => (
                "model_broke_off",
                format!("{url} broke off in the middle of the answer; ask again"),
            ),
            _ => ("model_failed", format!("{url} did not answer as the chat-completions API does")),
        };
        tracing::warn!(%error, code, "the model failed");
        Failure { code, message: format!("{what} ({error})") }
    }
}

fn conversation(question: &Question) -> Vec<ChatCompletionRequestMessage> {
    let mut messages = vec![ChatCompletionRequestSystemMessage::from(INSTRUCTIONS).into()];
    messages.extend(question.before.iter().map(|turn| match turn {
        Turn::Person(text) => ChatCompletionRequestUserMessage::from(text.as_str()).into(),
        Turn::Agent(text) => ChatCompletionRequestAssistantMessage::from(text.as_str()).into(),
    }));
    messages.push(ChatCompletionRequestUserMessage::from(question.text.as_str()).into());
    messages
}

fn tools() -> Vec<ChatCompletionTools> {
    let tool = |spec: crate::tools::Spec| {
        ChatCompletionTools::Function(ChatCompletionTool {
            function: FunctionObject {
                name: spec.name.into(),
                description: Some(spec.description.into()),
                parameters: Some(spec.input),
                strict: None,
            },
        })
    };
    Tools::specs().into_iter().map(tool).collect()
}

/// Tokens of all turns together.
#[derive(Debug, Default)]
struct Usage {
    known: bool,
    prompt: u64,
    completion: u64,
}

impl Usage {
    fn add(&mut self, usage: Option<&CompletionUsage>) {
        if let Some(usage) = usage {
            self.known = true;
            self.prompt += u64::from(usage.prompt_tokens);
            self.completion += u64::from(usage.completion_tokens);
        }
    }

    fn report(&self) -> Option<Value> {
        self.known.then(|| {
            json!({
                "prompt_tokens": self.prompt,
                "completion_tokens": self.completion,
                "total_tokens": self.prompt + self.completion,
            })
        })
    }
}

#[cfg(test)]
mod tests;
