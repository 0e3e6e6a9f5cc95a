//! What is asked of a JSON text before it is carried on as it is.

/// Digits of the largest number.
pub const DIGITS_MAX: usize = 20;

/// A number as text, in `room`.
pub fn digits(number: u64, room: &mut [u8; DIGITS_MAX]) -> &str {
    std::str::from_utf8(digit_bytes(number, room)).expect("digits are text")
}

/// The same as bytes, for what is put together of those: to see that digits are text costs more than they do.
pub fn digit_bytes(mut number: u64, room: &mut [u8; DIGITS_MAX]) -> &[u8] {
    let mut at = room.len();
    loop {
        at -= 1;
        room[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    &room[at..]
}

/// True when `json`, which must be well-formed, nests at most `max` deep. Nearly all of it has no more
/// brackets than that, which is seen without reading it.
#[must_use]
pub fn is_within(json: &str, max: usize) -> bool {
    // In the range of a byte, so that many bytes are compared at once.
    let opened =
        |part: &[u8]| -> u8 { part.iter().map(|byte| u8::from(matches!(byte, b'{' | b'['))).sum() };
    let brackets: usize = json.as_bytes().chunks(255).map(|part| usize::from(opened(part))).sum();
    brackets <= max || depth(json) <= max
}

/// How deep arrays and objects nest in `json`, which must be well-formed JSON. Needs no stack, so
/// that text made to exhaust one does no harm.
#[must_use]
pub fn depth(json: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in json.bytes() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_brackets_outside_strings() {
        assert_eq!(depth("1"), 0);
        assert_eq!(depth(r#"{"a":[1,{"b":"]}[[\"{{"}]}"#), 3);
        assert_eq!(depth(&"[".repeat(100_000)), 100_000);
    }

    #[test]
    fn numbers_are_written_as_they_are_read() {
        for number in [0, 9, 10, 1_756_919_163_041, u64::MAX] {
            assert_eq!(digits(number, &mut [0; DIGITS_MAX]), number.to_string());
        }
    }

    #[test]
    fn a_depth_is_within_its_bound_or_not() {
        for deep in [1, 254, 255, 256, 600] {
            let nested = ["[".repeat(deep), "]".repeat(deep)].concat();
            assert!(is_within(&nested, deep), "{deep}");
            assert!(!is_within(&nested, deep - 1), "{deep}");
        }
        let wide = format!("[{}]", vec![r#"{"a":"[["}"#; 1_000].join(","));
        assert!(is_within(&wide, 2) && !is_within(&wide, 1));
    }
}
