//! Bytes in hexadecimal, two digits each.

/// Why a text is not bytes in hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HexError {
    /// This character is no digit; with its position, counted from 1.
    NoDigit(char, usize),
    /// The text ends in the middle of a byte.
    HalfAByte,
}

/// Bytes as hexadecimal digits.
pub(crate) fn text(bytes: &[u8]) -> String {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}

/// Parses hexadecimal digits. Blanks and colons are ignored.
pub(crate) fn bytes(text: &str) -> Result<Vec<u8>, HexError> {
    let mut bytes = Vec::new();
    let mut high = None;
    for (at, c) in text.chars().enumerate() {
        if c.is_whitespace() || c == ':' {
            continue;
        }
        let digit = c.to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let digit = digit.ok_or(HexError::NoDigit(c, at + 1))?;
        match high.take() {
            None => high = Some(digit),
            Some(high) => bytes.push(high << 4 | digit),
        }
    }
    if high.is_some() { Err(HexError::HalfAByte) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_and_read() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(bytes(&text(&all)), Ok(all));
        assert_eq!(text(&[0, 0x0f, 0xf0, 0xff]), "000ff0ff");
        assert_eq!(bytes(" 0a:0B\nff"), Ok(vec![0x0a, 0x0b, 0xff]));
        assert_eq!(bytes("0g"), Err(HexError::NoDigit('g', 2)));
        assert_eq!((bytes("00f"), bytes("")), (Err(HexError::HalfAByte), Ok(Vec::new())));
    }
}
