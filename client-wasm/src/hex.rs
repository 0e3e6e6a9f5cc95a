//! Ids as text, without the formatting of the standard library: all of that would come along.

use rethread_shared::{Epoch, EventId};

/// 8 digits.
pub(crate) fn epoch(epoch: Epoch) -> String {
    let mut text = String::with_capacity(8);
    push(&mut text, &epoch.to_u32().to_be_bytes());
    text
}

/// A UUID in its hyphenated form.
pub(crate) fn event_id(id: EventId) -> String {
    let bytes = id.to_bytes();
    let mut text = String::with_capacity(36);
    for (index, part) in [&bytes[..4], &bytes[4..6], &bytes[6..8], &bytes[8..10], &bytes[10..]]
        .into_iter()
        .enumerate()
    {
        if index > 0 {
            text.push('-');
        }
        push(&mut text, part);
    }
    text
}

fn push(text: &mut String, bytes: &[u8]) {
    for digit in bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]) {
        text.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_the_one_that_formatting_gives() {
        let id = EventId::from_bytes(*b"\x00\x0f\xf0\xff\x10 \x30@P`p\x80\x90\xa0\xb0\xc0");
        assert_eq!(event_id(id), id.to_string());
        for bytes in [[0; 4], [0xff; 4], [0x01, 0x23, 0xcd, 0xef]] {
            let generated = Epoch::generate(bytes);
            assert_eq!(epoch(generated), generated.to_string());
        }
    }
}
