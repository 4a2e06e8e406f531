//! How deeply a source text is nested, before anything recursive sees it: the parser, the visitors and the destructors of
//! its tree need stack for each level. It knows Rust's lexical grammar and nothing else.

/// What a bracket costs, against one for any other token: parsing what is in it goes through all of the expression grammar.
const BRACKET: usize = 40;

/// What `<` costs: it may open the arguments of a type, which go through less.
const ANGLE: usize = 2;

/// The most that a text may cost, with room: half the stack is enough for it in a build without optimisations. Real code
/// stays far below, as far as it is written by hand.
const MAX_COST: usize = 10_000;

/// Where a text is nested too deeply: a line and a column, from 1. Whatever is not in brackets is bounded by the number
/// of tokens between two separators, since each may be an operator on all that follows.
pub(crate) fn too_deep(text: &str) -> Option<(u32, u32)> {
    let mut scan = Scan { bytes: text.as_bytes(), at: 0 };
    // The cost around each open bracket, and the tokens since the last separator in it.
    let mut open: Vec<(usize, usize)> = Vec::new();
    let (mut outer, mut run) = (0_usize, 0_usize);
    while let Some((start, token)) = scan.next() {
        match token {
            Token::Open => {
                open.push((outer, run));
                outer += run + BRACKET;
                run = 0;
            }
            Token::Close => {
                // A file may close what it did not open: the parser reports that.
                (outer, run) = open.pop().unwrap_or_default();
                run += 1;
            }
            Token::Separator => run = 0,
            Token::ItemEnd => {
                (outer, run) = open.pop().unwrap_or_default();
                run = if scan.goes_on() { run + 1 } else { 0 };
            }
            Token::Angle => run += ANGLE,
            Token::Other => run += 1,
        }
        if outer + run > MAX_COST {
            return Some(place(text, start));
        }
    }
    None
}

fn place(text: &str, at: usize) -> (u32, u32) {
    let before = &text.as_bytes()[..at];
    let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = String::from_utf8_lossy(&before[line_start..]).chars().count() + 1;
    (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
}

enum Token {
    Open,
    Close,
    /// `}`
    ItemEnd,
    /// `;`, `,` or `=>`
    Separator,
    /// `<`
    Angle,
    Other,
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or_default()
    }

    /// The next token, with its place.
    fn next(&mut self) -> Option<(usize, Token)> {
        self.skip_space();
        let start = self.at;
        let token = match *self.bytes.get(self.at)? {
            b'(' | b'[' | b'{' => self.one(Token::Open),
            b')' | b']' => self.one(Token::Close),
            b'}' => self.one(Token::ItemEnd),
            b';' | b',' => self.one(Token::Separator),
            b'<' => self.one(Token::Angle),
            // What follows the arrow of a match arm is not nested in what precedes it.
            b'=' if self.peek(1) == b'>' => {
                self.at += 1;
                self.one(Token::Separator)
            }
            b'"' => self.string(),
            b'\'' => self.quote(),
            byte if is_word(byte) => self.word(),
            _ => self.one(Token::Other),
        };
        Some((start, token))
    }

    /// Whether what follows a block may go on with the expression that the block is in.
    fn goes_on(&mut self) -> bool {
        self.skip_space();
        let rest = &self.bytes[self.at..];
        match rest.first() {
            Some(byte) if is_word(*byte) => rest.starts_with(b"else") || rest.starts_with(b"as "),
            Some(b'#' | b'\'') | None => false,
            Some(_) => true,
        }
    }

    fn one(&mut self, token: Token) -> Token {
        self.at += 1;
        token
    }

    fn skip_space(&mut self) {
        loop {
            match (self.peek(0), self.peek(1)) {
                (b' ' | b'\n' | b'\t' | b'\r', _) => self.at += 1,
                (b'/', b'/') => {
                    let rest = self.bytes[self.at..].iter().position(|byte| *byte == b'\n');
                    self.at = rest.map_or(self.bytes.len(), |rest| self.at + rest);
                }
                (b'/', b'*') => self.comment(),
                _ => return,
            }
        }
    }

    fn comment(&mut self) {
        let mut depth = 0_usize;
        while self.at < self.bytes.len() {
            match (self.peek(0), self.peek(1)) {
                (b'/', b'*') => {
                    depth += 1;
                    self.at += 2;
                }
                (b'*', b'/') => {
                    depth -= 1;
                    self.at += 2;
                    if depth == 0 {
                        return;
                    }
                }
                _ => self.at += 1,
            }
        }
    }

    fn word(&mut self) -> Token {
        let start = self.at;
        while is_word(self.peek(0)) {
            self.at += 1;
        }
        let word = &self.bytes[start..self.at];
        let is_raw = matches!(word, b"r" | b"br" | b"cr");
        let hashes = self.bytes[self.at..].iter().take_while(|byte| **byte == b'#').count();
        match self.peek(0) {
            b'"' if is_raw => self.raw_string(0),
            b'#' if is_raw && self.peek(hashes) == b'"' => self.raw_string(hashes),
            b'"' if matches!(word, b"b" | b"c") => self.string(),
            b'\'' if word == b"b" => self.quote(),
            _ => Token::Other,
        }
    }

    fn string(&mut self) -> Token {
        self.at += 1;
        while self.at < self.bytes.len() {
            match self.peek(0) {
                b'\\' => self.at += 2,
                b'"' => return self.one(Token::Other),
                _ => self.at += 1,
            }
        }
        Token::Other
    }

    fn raw_string(&mut self, hashes: usize) -> Token {
        self.at += hashes + 1;
        while self.at < self.bytes.len() {
            let ends = self.peek(0) == b'"' && (1..=hashes).all(|ahead| self.peek(ahead) == b'#');
            self.at += 1;
            if ends {
                self.at += hashes;
                break;
            }
        }
        Token::Other
    }

    /// A character, or a lifetime.
    fn quote(&mut self) -> Token {
        self.at += 1;
        if self.peek(0) == b'\\' {
            self.at += 2;
            while self.at < self.bytes.len() && self.peek(0) != b'\'' {
                self.at += 1;
            }
            return self.one(Token::Other);
        }
        let width = match self.peek(0) {
            byte if byte < 0x80 => 1,
            byte if byte < 0xE0 => 2,
            byte if byte < 0xF0 => 3,
            _ => 4,
        };
        if self.peek(width) == b'\'' {
            self.at += width + 1;
        }
        Token::Other
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}
