//! The words of a text: how deeply they can nest, and the text without its values.

use pg_query::protobuf::{ScanToken, Token};

/// Longest normalised text that goes into a record. A record says what was done; it does not repeat a bulk load.
const NORMALIZED_MAX: usize = 16 * 1024;

/// The tokens of a text that PostgreSQL's scanner accepts.
#[derive(Debug)]
pub(in crate::engine) struct Tokens<'t> {
    text: &'t str,
    tokens: Vec<ScanToken>,
}

impl<'t> Tokens<'t> {
    pub(in crate::engine) fn scan(text: &'t str) -> Result<Self, pg_query::Error> {
        Ok(Self { text, tokens: pg_query::scan(text)?.tokens })
    }

    /// Where the first word at or after `offset` begins, past white space and comments.
    pub(super) fn word_from(&self, offset: usize) -> usize {
        let start = |token: &ScanToken| usize::try_from(token.start).unwrap_or(0);
        let at = self.tokens.partition_point(|token| start(token) < offset);
        self.tokens.iter().skip(at).find(|token| !is_comment(token)).map_or(offset, start)
    }

    /// The tokens, each with its text and where that begins, without comments.
    pub(super) fn each(&self) -> impl Iterator<Item = (Token, &'t str, usize)> {
        self.tokens.iter().filter(|token| !is_comment(token)).filter_map(|token| {
            let (start, end) = (usize::try_from(token.start).ok()?, usize::try_from(token.end).ok()?);
            Some((Token::try_from(token.token).unwrap_or(Token::Nul), self.text.get(start..end)?, start))
        })
    }

    /// The place of the token that begins here.
    pub(in crate::engine) fn at(&self, offset: usize) -> Option<std::ops::Range<usize>> {
        let token = self.tokens.iter().find(|token| usize::try_from(token.start) == Ok(offset))?;
        Some(offset..usize::try_from(token.end).ok()?)
    }

    /// The text with each value replaced by `$n`, without comments, and with one space wherever there was a gap.
    ///
    /// Made from the tokens and not from the tree: a value is a token of its own wherever the grammar lets it stand
    /// (passwords, connection strings, function bodies, payloads), so none can be forgotten.
    pub(super) fn normalized(&self) -> String {
        let mut out = String::with_capacity(self.text.len().min(NORMALIZED_MAX));
        let mut number = self.last_parameter();
        let mut end = 0;
        for token in self.tokens.iter().filter(|token| !is_comment(token)) {
            let (Ok(start), Ok(stop)) = (usize::try_from(token.start), usize::try_from(token.end)) else { break };
            let Some(word) = self.text.get(start..stop) else { break };
            if out.len() + word.len() > NORMALIZED_MAX {
                out.push_str(" …");
                break;
            }
            if start > end && !out.is_empty() {
                out.push(' ');
            }
            end = stop;
            if is_value(token) {
                number += 1;
                out.push('$');
                out.push_str(&number.to_string());
            } else if let Some(parameter) = self.parameter(token) {
                // `$007` is `$7`.
                out.push('$');
                out.push_str(&parameter.to_string());
            } else {
                out.push_str(word);
            }
        }
        out
    }

    /// The highest `$n` the text has itself; values are numbered after it.
    fn last_parameter(&self) -> u64 {
        // A number that does not fit is refused by the parser.
        self.tokens.iter().filter_map(|token| self.parameter(token)).max().unwrap_or(0).min(u64::from(u32::MAX))
    }

    /// The number of a parameter.
    fn parameter(&self, token: &ScanToken) -> Option<u64> {
        if token.token != Token::Param as i32 {
            return None;
        }
        let (start, end) = (usize::try_from(token.start).ok()?, usize::try_from(token.end).ok()?);
        self.text.get(start..end)?.trim_start_matches('$').parse().ok()
    }

    /// An upper bound of how deep the parse tree of this text can be, counted in nodes.
    ///
    /// The C parser keeps its stack on the heap and refuses only trees 10,000 messages deep, and what decodes its
    /// answer recurses: without this bound, a short text of opening parentheses ends the process. See [`Nesting`].
    pub(super) fn depth_at_most(&self) -> usize {
        let mut nesting = Nesting::default();
        let mut before = Token::Nul;
        for token in self.tokens.iter().filter(|token| !is_comment(token)) {
            let kind = Token::try_from(token.token).unwrap_or(Token::Nul);
            nesting.take(kind, before);
            before = kind;
        }
        nesting.deepest()
    }
}

fn is_comment(token: &ScanToken) -> bool {
    token.token == Token::SqlComment as i32 || token.token == Token::CComment as i32
}

fn is_value(token: &ScanToken) -> bool {
    const VALUES: [Token; 6] =
        [Token::Sconst, Token::Usconst, Token::Iconst, Token::Fconst, Token::Bconst, Token::Xconst];
    VALUES.iter().any(|value| *value as i32 == token.token)
}

/// Follows brackets and chains of operators, and keeps the greatest depth a tree of such words could have.
///
/// A *group* is what stands between brackets, or between CASE and END. Within a group, *items* are separated by commas
/// and semicolons; within an item, *arms* are separated by AND and OR, which the grammar gathers into one flat list.
/// Every other word of an arm may add a level on top of all that came before it (`a + b + c`, `NOT NOT a`), so the
/// depth of an arm is at most the number of its words plus that of the deepest group in it. Joins and set operations
/// nest to the left across arms and, for the latter, across items, and are counted for the whole item or group.
/// BETWEEN has an AND of its own that may go on nesting, so after a BETWEEN arms are no longer told apart.
#[derive(Default)]
struct Nesting {
    group: Group,
    outer: Vec<Group>,
}

#[derive(Clone, Copy, Default)]
struct Group {
    closes: Closes,
    /// Set operations so far.
    sets: usize,
    /// Joins in this item so far.
    joins: usize,
    /// BETWEEN occurred in this item.
    between: bool,
    /// Levels added in this arm by its words.
    chain: usize,
    /// The deepest group in this arm.
    inner: usize,
    /// The deepest arm of this item, without the item's joins.
    item: usize,
    /// The deepest item so far.
    deepest: usize,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Closes {
    #[default]
    Text,
    Bracket,
    End,
}

impl Group {
    fn end_arm(&mut self) {
        self.item = self.item.max(self.chain + self.inner);
        (self.chain, self.inner) = (0, 0);
    }

    fn end_item(&mut self) {
        self.end_arm();
        self.deepest = self.deepest.max(self.item + self.joins * Nesting::JOIN);
        (self.item, self.joins, self.between) = (0, 0, false);
    }

    fn depth(mut self) -> usize {
        self.end_item();
        Nesting::GROUP + self.deepest + self.sets
    }
}

impl Nesting {
    /// Nodes a bracket pair can add on one path: a sub-select is a link, a select, a list, a target and its expression.
    const GROUP: usize = 6;
    /// Nodes a join adds.
    const JOIN: usize = 2;
    /// Nodes an operator or keyword adds.
    const WORD: usize = 2;

    fn take(&mut self, token: Token, before: Token) {
        let group = &mut self.group;
        match token {
            Token::Ascii40 | Token::Ascii91 => self.open(Closes::Bracket),
            Token::Ascii41 | Token::Ascii93 => self.close(Closes::Bracket),
            Token::Ascii44 | Token::Ascii59 => group.end_item(),
            Token::Ident | Token::Uident | Token::Ascii46 | Token::Param => {}
            Token::Sconst | Token::Usconst | Token::Iconst | Token::Fconst | Token::Bconst | Token::Xconst => {}
            // After a dot or AS, a keyword is a name or a label.
            _ if matches!(before, Token::Ascii46 | Token::As) => group.chain += Self::WORD,
            Token::Case => self.open(Closes::End),
            Token::EndP if group.closes == Closes::End => self.close(Closes::End),
            Token::When | Token::Then | Token::Else if group.closes == Closes::End => group.end_item(),
            Token::And | Token::Or if !group.between => group.end_arm(),
            Token::Between => {
                group.between = true;
                group.chain += Self::WORD;
            }
            Token::Join => {
                group.end_arm();
                group.joins += 1;
            }
            Token::Union | Token::Intersect | Token::Except => {
                group.end_item();
                group.sets += 1;
            }
            _ => group.chain += Self::WORD,
        }
    }

    fn open(&mut self, closes: Closes) {
        self.outer.push(std::mem::replace(&mut self.group, Group { closes, ..Group::default() }));
    }

    /// Ends the innermost group, and with a bracket also the CASEs inside it that nobody ended.
    fn close(&mut self, closes: Closes) {
        while let Some(outer) = self.outer.pop() {
            let ended = std::mem::replace(&mut self.group, outer);
            self.group.inner = self.group.inner.max(ended.depth());
            if ended.closes == closes {
                return;
            }
        }
    }

    fn deepest(mut self) -> usize {
        while let Some(outer) = self.outer.pop() {
            let ended = std::mem::replace(&mut self.group, outer);
            self.group.inner = self.group.inner.max(ended.depth());
        }
        self.group.depth()
    }
}
