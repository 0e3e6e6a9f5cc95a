//! `calculate`: the value of an arithmetic expression.

use serde::{Deserialize, Serialize};

use super::ToolError;
use crate::limits::{EXPRESSION_BYTES_MAX, EXPRESSION_DEPTH_MAX};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Calculate {
    expression: String,
}

/// What `calculate` gives.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Calculated {
    expression: String,
    value: f64,
    /// The value as a person writes it.
    text: String,
}

pub(super) fn run(input: Calculate) -> Result<Calculated, ToolError> {
    let value = evaluate(&input.expression)?;
    Ok(Calculated { text: write(value), expression: input.expression, value })
}

/// The value of an expression.
///
/// # Errors
/// When it is too long, is no expression, has variables, or has no finite value.
pub(crate) fn evaluate(expression: &str) -> Result<f64, ToolError> {
    if expression.len() > EXPRESSION_BYTES_MAX {
        return Err(ToolError(format!(
            "the expression has {} bytes, at most {EXPRESSION_BYTES_MAX} are allowed",
            expression.len()
        )));
    }
    let refuse = |why: &str| {
        ToolError(format!(
            "cannot evaluate {expression:?}: {why}; \
             write it like 2 * (3 + 4) ^ 2 or sqrt(2) / PI"
        ))
    };
    if expression.trim().is_empty() {
        return Err(refuse("it is empty"));
    }
    let plain = plain(expression).map_err(refuse)?;
    let value = exmex::eval_str::<f64>(&plain).map_err(|error| refuse(error.msg()))?;
    if value.is_finite() { Ok(value) } else { Err(refuse("it has no finite value")) }
}

/// The expression with plain ASCII operators, and with a minus that opens a term written as a
/// subtraction from 0: the parser would read `-2 ^ 2` as `(-2) ^ 2`, mathematics as `-(2 ^ 2)`.
fn plain(expression: &str) -> Result<String, &'static str> {
    let mut plain = String::with_capacity(expression.len() + 8);
    let mut depth = 0_usize;
    let spelled = expression.replace("**", "^");
    for c in spelled.chars() {
        let opens = plain.trim_end().chars().next_back().is_none_or(|last| "(,".contains(last));
        match c {
            '×' | '·' => plain.push('*'),
            '÷' => plain.push('/'),
            '-' | '−' | '–' if opens => plain.push_str("0-"),
            '−' | '–' => plain.push('-'),
            '{' | '}' => return Err("braces are not part of arithmetic"),
            '(' => {
                depth += 1;
                if depth > EXPRESSION_DEPTH_MAX {
                    return Err("its parentheses nest too deep");
                }
                plain.push(c);
            }
            ')' => {
                depth = depth.saturating_sub(1);
                plain.push(c);
            }
            _ => plain.push(c),
        }
    }
    Ok(plain)
}

/// Twelve significant digits: what the sum of decimal fractions is exact to.
fn write(value: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    if value.fract() == 0.0 && value.abs() < 1e15 {
        return format!("{value:.0}");
    }
    if !(1e-6..1e15).contains(&value.abs()) {
        return format!("{value:e}");
    }
    #[expect(clippy::cast_possible_truncation, reason = "between -6 and 15")]
    let whole_digits = value.abs().log10().floor() as i32 + 1;
    let decimals = usize::try_from((12 - whole_digits).max(0)).unwrap_or_default();
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calculates() {
        for (expression, value) in [
            ("2 + 2", "4"),
            ("17 * 23", "391"),
            ("2 * (3 + 4) ^ 2", "98"),
            ("2 ** 10", "1024"),
            ("-2 ^ 2", "-4"),
            ("(-2) ^ 2", "4"),
            ("1 - -1", "2"),
            ("2 ^ -1", "0.5"),
            ("0.1 + 0.2", "0.3"),
            ("10 / 4", "2.5"),
            ("1 / 3", "0.333333333333"),
            ("6 × 7 ÷ 2", "21"),
            ("sqrt(2) ^ 2", "2"),
            ("max(-1, 3)", "3"),
            ("round(PI * 100)", "314"),
            ("(50 * 20) * 250", "250000"),
            ("10 ^ 20", "1e20"),
        ] {
            let got = evaluate(expression).map(write);
            assert_eq!(got.as_deref(), Ok(value), "{expression}");
        }
    }

    #[test]
    fn refuses_with_a_reason() {
        let deep = format!("{}1{}", "(".repeat(40), ")".repeat(40));
        let long = "1+".repeat(200) + "1";
        for (expression, says) in [
            ("", "it is empty"),
            ("1 / 0", "no finite value"),
            ("sqrt(0-1)", "no finite value"),
            ("2 +", "cannot evaluate"),
            ("(2", "cannot evaluate"),
            ("x * 2", "cannot evaluate"),
            ("{a} + 1", "braces"),
            ("rm -rf /", "cannot evaluate"),
            (deep.as_str(), "nest too deep"),
            (long.as_str(), "at most 256"),
        ] {
            let error = evaluate(expression).expect_err(expression).to_string();
            assert!(error.contains(says), "{expression:?}: {error:?} should say {says:?}");
        }
    }
}
