//! Finding the arithmetic in a question.

use crate::tools::evaluate;

const FUNCTIONS: [&str; 18] = [
    "sqrt", "cbrt", "abs", "floor", "ceil", "round", "trunc", "exp", "ln", "log2", "log10", "sin",
    "cos", "tan", "min", "max", "asin", "acos",
];
const SPOKEN: [(&str, &str); 12] = [
    ("to the power of", "^"),
    ("multiplied by", "*"),
    ("divided by", "/"),
    ("square root of", "sqrt"),
    ("the sqrt", "sqrt"),
    ("percent", "%"),
    ("squared", "^2"),
    ("cubed", "^3"),
    ("times", "*"),
    ("plus", "+"),
    ("minus", "-"),
    ("over", "/"),
];
const CUES: [&str; 6] = ["what is", "what's", "how much is", "calculate", "compute", "evaluate"];

/// An expression found in a question, and the rest of the question.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Arithmetic {
    /// What `calculate` takes.
    pub(super) expression: String,
    /// The question's other words.
    pub(super) rest: String,
}

/// Finds the longest expression in a question that says something to calculate: an operator between
/// two values, or a function of one. `kill -9` and `2024-05-06` are none.
pub(super) fn find(question: &str) -> Option<Arithmetic> {
    let mut text = format!(" {} ", question.to_lowercase());
    for (spoken, sign) in SPOKEN {
        text = text.replace(&format!(" {spoken} "), &format!(" {sign} "));
        text = text.replace(&format!(" {spoken}?"), &format!(" {sign} ?"));
    }
    let cued = CUES.iter().any(|cue| text.trim_start().starts_with(cue));
    let tokens = tokens(&text);
    let mut best: Option<(usize, usize, String)> = None;
    for from in 0..tokens.len() {
        for to in (from + 1..=tokens.len()).rev() {
            if best.as_ref().is_some_and(|(from, to_, _)| to_ - from >= to - from) {
                break;
            }
            let run = &tokens[from..to];
            if let Some(expression) = expression(run, cued)
                && evaluate(&expression).is_ok()
            {
                best = Some((from, to, expression));
                break;
            }
        }
    }
    let (from, to, expression) = best?;
    let rest = [&text[..tokens[from].from], &text[tokens[to - 1].to..]].join(" ");
    Some(Arithmetic { expression, rest: rest.split_whitespace().collect::<Vec<_>>().join(" ") })
}

#[derive(Debug)]
struct Token<'a> {
    text: &'a str,
    from: usize,
    to: usize,
    /// True when white space stands before it.
    spaced: bool,
}

/// Numbers, names and signs, with their places.
fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut chars = text.char_indices().peekable();
    let mut spaced = true;
    while let Some((from, c)) = chars.next() {
        if c.is_whitespace() {
            spaced = true;
            continue;
        }
        let mut to = from + c.len_utf8();
        let digits = c.is_ascii_digit();
        let same = |next: char, after: Option<char>| match digits {
            true => {
                next.is_alphanumeric()
                    || (".,_".contains(next) && after.is_some_and(|a| a.is_ascii_digit()))
            }
            false => next.is_alphanumeric() || next == '_',
        };
        if digits || c.is_alphabetic() {
            while let Some(&(at, next)) = chars.peek() {
                let after = text[at + next.len_utf8()..].chars().next();
                if !same(next, after) {
                    break;
                }
                to = at + next.len_utf8();
                chars.next();
            }
        }
        tokens.push(Token { text: &text[from..to], from, to, spaced });
        spaced = false;
    }
    tokens
}

/// The tokens as an expression, if every one is part of arithmetic and there is something to do.
fn expression(tokens: &[Token<'_>], cued: bool) -> Option<String> {
    let (mut written, mut values, mut certain, mut doubtful) = (String::new(), 0, 0, 0);
    let mut functions = 0;
    for (at, token) in tokens.iter().enumerate() {
        let next = tokens.get(at + 1);
        match token.text {
            "+" | "*" | "^" | "×" | "÷" | "·" if at > 0 => {
                certain += 1;
                written.push_str(token.text);
            }
            // `x` between numbers is a sign.
            "x" if at > 0 && values > 0 && next.is_some_and(|n| number(n.text).is_some()) => {
                certain += 1;
                written.push('*');
            }
            "-" | "−" | "/" => {
                // 24/7, 5-10 and 2024-05-06 are no questions, unless somebody asks.
                let open = token.spaced && next.is_some_and(|n| n.spaced);
                if at > 0 && (open || cued) {
                    certain += 1
                } else {
                    doubtful += 1
                }
                written.push_str(token.text);
            }
            "%" if values > 0 => {
                written.push_str("/100");
                certain += usize::from(next.is_some_and(|n| n.text == "of"));
            }
            "of" if at > 0 && tokens[at - 1].text == "%" && next.is_some() => written.push('*'),
            // "the sqrt of 2"
            "of" if at > 0 && FUNCTIONS.contains(&tokens[at - 1].text) => written.push(' '),
            "(" | ")" => written.push_str(token.text),
            "," if functions > 0 => written.push(','),
            "pi" | "π" => {
                values += 1;
                written.push_str("PI");
            }
            name if FUNCTIONS.contains(&name) && next.is_some() => {
                functions += 1;
                written.push_str(name);
            }
            other => {
                values += 1;
                written.push_str(&number(other)?);
            }
        }
        written.push(' ');
    }
    let asks = certain > 0 && values + functions > 1 || functions > 0 && values > 0;
    (asks && (doubtful == 0 || certain > 0)).then(|| tidy(&written))
}

/// A number without the signs that group its digits.
fn number(text: &str) -> Option<String> {
    let plain: String = text.chars().filter(|c| !",_".contains(*c)).collect();
    let first = plain.chars().next()?;
    (first.is_ascii_digit() && plain.parse::<f64>().is_ok()).then_some(plain)
}

fn tidy(written: &str) -> String {
    let spaced = written.split_whitespace().collect::<Vec<_>>().join(" ");
    spaced.replace("( ", "(").replace(" )", ")").replace(" ,", ",").replace(" /100", " / 100")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_to_be_calculated() {
        for (question, expression) in [
            ("What is 17 * 23?", "17 * 23"),
            ("2+2", "2 + 2"),
            ("How much is 15% of 240?", "15 / 100 * 240"),
            ("what is 15 percent of 1,200", "15 / 100 * 1200"),
            ("Calculate (3 + 4) * 2 please", "(3 + 4) * 2"),
            ("what is 144 divided by 12?", "144 / 12"),
            ("what is 2 to the power of 10?", "2 ^ 10"),
            ("what is 12 squared?", "12 ^ 2"),
            ("what is the square root of 144", "sqrt 144"),
            ("3 x 4", "3 * 4"),
            ("what is 10-3?", "10 - 3"),
            ("50 threads times 20 subscribers is 50 * 20?", "50 * 20"),
            ("max(3, 9)", "max (3, 9)"),
            ("what is pi * 2", "PI * 2"),
        ] {
            let found = find(question).map(|found| found.expression);
            assert_eq!(found.as_deref(), Some(expression), "{question}");
        }
    }

    #[test]
    fn what_is_no_arithmetic_stays_words() {
        for question in [
            "What happens after kill -9?",
            "What changed on 2024-05-06?",
            "Is it available 24/7?",
            "How do I use UTF-8?",
            "What is a thread?",
            "Which port, 4242 or 8080?",
            "Why are there 3 legs?",
            "a + b",
            "",
        ] {
            assert_eq!(find(question), None, "{question}");
        }
    }

    #[test]
    fn keeps_the_rest_of_the_question() {
        let found = find("How many bytes is 256 * 1024, and what is the largest event?").unwrap();
        assert_eq!(found.expression, "256 * 1024");
        assert_eq!(found.rest, "how many bytes is , and what is the largest event?");
    }
}
