//! Writes JSON in exactly one way: no spaces, members in the order they are given, only the escapes that are needed.

/// Appends JSON to a buffer. Does not check that members and brackets fit together: each caller writes one shape, and
/// its tests parse it back.
#[derive(Debug)]
pub(super) struct Json<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Json<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    /// Text that is JSON already.
    pub(super) fn raw(&mut self, json: &[u8]) -> &mut Self {
        self.out.extend_from_slice(json);
        self
    }

    pub(super) fn number(&mut self, mut value: u64) -> &mut Self {
        // 20 digits hold every u64.
        let mut digits = [0u8; 20];
        let mut used = 0;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + u8::try_from(value % 10).unwrap_or(0);
            value /= 10;
            used += 1;
            if value == 0 {
                break;
            }
        }
        let start = digits.len().saturating_sub(used);
        self.raw(digits.get(start..).unwrap_or_default())
    }

    /// Lower-case hexadecimal between quotes.
    pub(super) fn hex(&mut self, bytes: &[u8]) -> &mut Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |value: u8| DIGITS.get(usize::from(value & 15)).copied().unwrap_or(b'0');
        self.out.push(b'"');
        for byte in bytes {
            self.out.extend_from_slice(&[digit(byte >> 4), digit(*byte)]);
        }
        self.out.push(b'"');
        self
    }

    /// A text between quotes.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.text_within(text, usize::MAX);
        self
    }

    /// A text between quotes, cut so that not more than `limit` bytes of JSON stand between them. Says whether it
    /// was cut.
    pub(super) fn text_within(&mut self, text: &str, limit: usize) -> bool {
        self.out.push(b'"');
        let start = self.out.len();
        let mut whole = true;
        for symbol in text.chars() {
            let before = self.out.len();
            self.symbol(symbol);
            if self.out.len().saturating_sub(start) > limit {
                self.out.truncate(before);
                whole = false;
                break;
            }
        }
        self.out.push(b'"');
        !whole
    }

    /// One character, escaped where RFC 8259 section 7 demands it. Deletion and the separators that JavaScript takes
    /// for line ends are escaped too, so that a record is one line to every reader.
    fn symbol(&mut self, symbol: char) {
        match symbol {
            '"' => self.raw(b"\\\""),
            '\\' => self.raw(b"\\\\"),
            '\n' => self.raw(b"\\n"),
            '\t' => self.raw(b"\\t"),
            '\r' => self.raw(b"\\r"),
            '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {
                self.raw(format!("\\u{:04x}", u32::from(symbol)).as_bytes())
            }
            _ => {
                let mut utf8 = [0u8; 4];
                self.raw(symbol.encode_utf8(&mut utf8).as_bytes())
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Json<'_>)) -> String {
        let mut out = Vec::new();
        write(&mut Json::new(&mut out));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn texts_come_back_as_they_were() {
        for text in ["", "plain", "\"\\/\u{8}\u{c}\n\r\t\0\u{1f}", "ä€😀\u{2028}\u{7f}\u{85}", "</script>"] {
            let json = written(|json| _ = json.text(text));
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
            assert!(!json.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')), "{json}");
        }
    }

    #[test]
    fn texts_are_cut_at_whole_characters() {
        for (limit, expected) in
            [(0, "\"\""), (1, "\"a\""), (2, "\"a\""), (3, "\"aä\""), (4, "\"aä\""), (5, "\"aä\\n\"")]
        {
            assert_eq!(written(|json| assert_eq!(json.text_within("aä\n", limit), limit < 5)), expected);
        }
    }

    #[test]
    fn numbers_and_hexadecimal() {
        for number in [0, 7, 10, 99, 1234567890, u64::MAX] {
            assert_eq!(written(|json| _ = json.number(number)), number.to_string());
        }
        assert_eq!(written(|json| _ = json.hex(&[0x00, 0xab, 0x0f])), "\"00ab0f\"");
    }
}
