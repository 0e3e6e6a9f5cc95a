//! One question on the terminal, without a server: for trying the documents and the tools.

use std::{
    io::{Write, stdout},
    time::Duration,
};

use tokio::sync::mpsc;

use crate::{
    answer::{Answerer, Question},
    tools::cut,
    voice::{Step, Voice},
};

/// Bytes of a tool's input or output that are shown.
const SHOWN_BYTES: usize = 160;

/// Answers on stdout: what is thought and which tools are called, then the answer.
pub(crate) async fn on_terminal(
    answerer: &Answerer,
    text: &str,
    pace: Duration,
) -> anyhow::Result<()> {
    let (voice, heard) = Voice::new(pace);
    let question = Question { text: text.to_owned(), before: Vec::new() };
    let answer = async move { answerer.answer(&question, &voice).await };
    let (answered, shown) = tokio::join!(answer, show(heard));
    shown?;
    answered?;
    Ok(())
}

async fn show(mut heard: mpsc::Receiver<Step>) -> std::io::Result<()> {
    while let Some(step) = heard.recv().await {
        let mut out = stdout();
        match step {
            Step::Thinking(text) | Step::Text(text) => write!(out, "{text}")?,
            Step::ToolCalled { tool, input, .. } => {
                writeln!(out, "[{tool} {}]", cut(&input.to_string(), SHOWN_BYTES))?;
            }
            Step::ToolAnswered { result: Ok(output), .. } => {
                writeln!(out, "[= {}]", cut(&output.to_string(), SHOWN_BYTES))?;
            }
            Step::ToolAnswered { result: Err(error), .. } => writeln!(out, "[! {error}]")?,
        }
        out.flush()?;
    }
    println!();
    Ok(())
}
