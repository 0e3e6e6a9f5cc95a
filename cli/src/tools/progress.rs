//! How far a long work has come, for a person who watches: on standard error, and only on a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar towards `whole`, in things of this name.
pub(crate) fn bar(whole: u64, things: &str) -> ProgressBar {
    let style =
        format!("{{bar:30}} {{human_pos}}/{{human_len}} {things} {{per_sec}} {{eta}} {{wide_msg}}");
    styled(Some(whole), &style)
}

/// A bar towards a number of bytes.
pub(crate) fn bytes(whole: u64) -> ProgressBar {
    styled(Some(whole), "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta} {wide_msg}")
}

/// A count, where nobody knows how much there is.
pub(crate) fn count(things: &str) -> ProgressBar {
    styled(None, &format!("{{spinner}} {{human_pos}} {things} {{per_sec}} {{wide_msg}}"))
}

fn styled(whole: Option<u64>, style: &str) -> ProgressBar {
    // Hidden by itself where standard error is no terminal.
    let bar = ProgressBar::with_draw_target(whole, ProgressDrawTarget::stderr());
    bar.set_style(ProgressStyle::with_template(style).expect("the template is well-formed"));
    bar
}
