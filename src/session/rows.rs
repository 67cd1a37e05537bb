//! Rows that have arrived together, and the share of them that somebody else masks.
//!
//! A connection is one task. Masks are most of what a result with masked texts costs, and while that task puts them on,
//! the machine's other cores may have nothing to do. Rows do not depend on each other, so that of many the later half is
//! a [`Share`], which whoever runs the session may work on elsewhere ([`Helper`]). What goes out, and what is on record,
//! is what it would be if nobody helped.

use std::fmt::Debug;

use super::{CopyOut, Pending, Session, Turn};
use crate::engine::{Masked, Masker};
use crate::wire::buffer::{Frame, WireError, Writer, whole_frames};
use crate::wire::postgres::{self, Cells, CopyFormat, CopyPiece, CopyRow, tag};

/// Works at the same time as a session, if it can.
pub(crate) trait Helper: Debug + Send + Sync {
    /// Does both, the share's work and `own`, in any order or at once. Nothing when the share was lost on the way.
    fn both(&self, share: Box<Share>, own: &mut dyn FnMut()) -> Option<Box<Share>>;
}

/// Fewest bytes of rows that are shared: masks of some hundred microseconds on either side. Measured on two busy cores, a
/// half of 250 µs costs the machine 2 % more in all and the connection's task a fifth less; of 50 µs, 9 % and nothing.
const SHARED_MIN: usize = 32 * 1024;

/// Rows whose masks are made together: those of one do not keep a core busy ([`Masker::end_row`]).
pub(super) const GROUP: usize = 8;

/// Rows of a result that are masked apart from the others.
#[derive(Debug)]
pub(crate) struct Share {
    masker: Masker,
    /// Of COPY data.
    copy: Option<CopyOut>,
    /// Whole messages.
    rows: Vec<u8>,
    written: Vec<u8>,
    done: Done,
}

/// What became of rows.
#[derive(Debug, Default)]
struct Done {
    /// Rows that were begun.
    rows: u64,
    /// Why the last of them could not be masked.
    error: Option<WireError>,
}

impl Share {
    fn of(masker: &Masker, copy: Option<&CopyOut>) -> Box<Self> {
        let copy = copy.map(|copy| CopyOut {
            format: copy.format.clone(),
            first: false,
            names: false,
            header: false,
            rows: Default::default(),
        });
        let (rows, written, done) = Default::default();
        Box::new(Self { masker: masker.apart(), copy, rows, written, done })
    }

    /// Does the work.
    pub(crate) fn run(&mut self) {
        self.written.clear();
        self.written.reserve(self.rows.len());
        self.done = mask_all(&mut self.masker, self.copy.as_mut(), &self.rows, &mut self.written);
    }
}

impl Session {
    /// With somebody who masks a share of rows that come together.
    pub(crate) fn helped(mut self, helper: std::sync::Arc<dyn Helper>) -> Self {
        self.helper = Some(helper);
        self
    }

    /// How many messages that follow one of this type may be masked together with others: those of the result at hand.
    pub(super) fn together(&self, tag: u8) -> Option<u64> {
        self.helper.as_ref().filter(|_| !self.muted)?;
        let Some(Pending::Query(run) | Pending::Execute { run, .. }) = self.pending.front() else { return None };
        let is_masked = run.masker.as_ref().is_some_and(|masker| masker.clear().is_none());
        let is_begun = match tag {
            tag::DATA_ROW => run.copy.is_none(),
            tag::COPY_DATA => run.copy.as_ref().is_some_and(|copy| !(copy.first || copy.names || copy.header)),
            _ => false,
        };
        // Rows beyond the limit are no rows to be masked.
        let most = run.rows_max.map_or(u64::MAX, |rows_max| rows_max.saturating_sub(run.rows));
        (is_masked && is_begun && run.cut.is_none()).then_some(most)
    }

    /// Masks these messages, which are rows of the result at hand.
    pub(super) fn mask_together(&mut self, messages: &[u8], turn: &mut Turn) -> Result<(), WireError> {
        let Some(Pending::Query(run) | Pending::Execute { run, .. }) = self.pending.front_mut() else { return Ok(()) };
        let Some((masker, helper)) = run.masker.as_mut().zip(self.helper.as_ref()) else { return Ok(()) };
        let before = turn.to_client.len();
        let out = &mut turn.to_client;
        // A look at values costs less than to pass them on.
        let is_shared = messages.len() >= SHARED_MIN && masker.columns_masked() > 0;
        let (own, theirs) = if is_shared { halves(messages) } else { (messages, &[][..]) };
        let mut done = Done::default();
        if theirs.is_empty() {
            done = mask_all(masker, run.copy.as_mut(), own, out);
        } else {
            let mut share = run.share.take().unwrap_or_else(|| Share::of(masker, run.copy.as_ref()));
            share.rows.clear();
            share.rows.extend_from_slice(theirs);
            let share = helper.both(share, &mut || done = mask_all(masker, run.copy.as_mut(), own, out));
            match share {
                // Behind a row that cannot go out nothing does.
                _ if done.error.is_some() => {}
                Some(mut share) => {
                    masker.absorb(&mut share.masker);
                    turn.to_client.extend_from_slice(&share.written);
                    done.rows = done.rows.saturating_add(share.done.rows);
                    done.error = share.done.error.take();
                    run.share = Some(share);
                }
                None => done.error = Some(WireError::Violation("rows were lost on the way to their masks")),
            }
        }
        run.rows = run.rows.saturating_add(done.rows);
        run.bytes = run.bytes.saturating_add(u64::try_from(turn.to_client.len() - before).unwrap_or(0));
        done.error.map_or(Ok(()), Err)
    }
}

/// Masks rows up to the first that must not go out.
fn mask_all(masker: &mut Masker, mut copy: Option<&mut CopyOut>, messages: &[u8], out: &mut Vec<u8>) -> Done {
    let mut done = Done::default();
    let mut frames = whole_frames(messages);
    let mut group = Vec::with_capacity(GROUP);
    loop {
        group.clear();
        group.extend(frames.by_ref().take(GROUP));
        if group.is_empty() {
            return done;
        }
        let masked = match &mut copy {
            None => mask(&group, masker, &mut done.rows, out),
            Some(copy) => mask_all_copied(&group, masker, copy, &mut done.rows, out),
        };
        if let Err(error) = masked {
            done.error = Some(error);
            return done;
        }
    }
}

/// Cuts messages between two of them, near the middle.
fn halves(messages: &[u8]) -> (&[u8], &[u8]) {
    let mut end = 0;
    for frame in whole_frames(messages) {
        if end >= messages.len() / 2 {
            break;
        }
        end += frame.raw.len();
    }
    messages.split_at_checked(end).unwrap_or((messages, &[]))
}

/// Masks rows and writes them, up to the first that must not go out. Counts those that it begins.
pub(super) fn mask(
    frames: &[Frame<'_>],
    masker: &mut Masker,
    begun: &mut u64,
    out: &mut Vec<u8>,
) -> Result<(), WireError> {
    masker.begin();
    let taken = frames.iter().try_for_each(|frame| {
        *begun += 1;
        take(*frame, masker)?;
        masker.end_row();
        Ok(())
    });
    for (frame, proof) in frames.iter().zip(masker.finish_rows()) {
        deliver(*frame, &proof, out)?;
    }
    taken
}

/// Shows a row to the masker.
fn take(frame: Frame<'_>, masker: &mut Masker) -> Result<(), WireError> {
    let mut cells = Cells::of(frame.body)?;
    let mut index = 0;
    while let Some(cell) = cells.next()? {
        masker.cell(index, cell);
        index += 1;
    }
    cells.finish()?;
    passes(masker)
}

/// Whether the row at hand may go out.
fn passes(masker: &Masker) -> Result<(), WireError> {
    masker.tripped().map_or(Ok(()), |_| Err(TRIPPED))
}

/// Writes a row. Only the engine's proof opens this way.
pub(super) fn deliver(frame: Frame<'_>, proof: &Masked<'_>, out: &mut Vec<u8>) -> Result<(), WireError> {
    if proof.is_unchanged() {
        out.extend_from_slice(frame.raw);
        return Ok(());
    }
    let mut cells = Cells::of(frame.body)?;
    let mut message = Writer::message(out, tag::DATA_ROW);
    message.count(cells.count());
    let (mut changes, mut index) = (proof.changes(), 0);
    while let Some(cell) = cells.next()? {
        message.value(changes.of(index).unwrap_or(cell));
        index += 1;
    }
    Ok(())
}

/// Writes rows of which no cell needs a look, as they came.
pub(super) fn deliver_run(raw: &[u8], _proof: &Masked<'static>, out: &mut Vec<u8>) {
    out.extend_from_slice(raw);
}

/// A row that must not go out. Nobody is told this: [`Session::trips`] says what is to be said.
const TRIPPED: WireError = WireError::Violation("a masked value");

/// Whether a message of COPY data is a row. The server sends one with each message (manual, "Message Formats"), besides
/// the columns' names before them and the end of the binary form behind.
pub(super) fn is_copied_row(copy: &mut CopyOut, body: &[u8]) -> bool {
    !std::mem::take(&mut copy.names) && body != BINARY_END
}

/// What ends COPY data in binary form: -1 in place of a row's number of cells.
const BINARY_END: &[u8] = &[0xff, 0xff];

/// Masks messages of COPY data and writes them, up to the first in which something must not go out. Counts the rows that it
/// begins.
fn mask_all_copied(
    frames: &[Frame<'_>],
    masker: &mut Masker,
    copy: &mut CopyOut,
    begun: &mut u64,
    out: &mut Vec<u8>,
) -> Result<(), WireError> {
    masker.begin();
    let mut alone = frames;
    let mut taken = Ok(());
    for row in &mut copy.rows {
        let Some((frame, behind)) = alone.split_first() else { break };
        taken = match postgres::next_piece(&copy.format, frame.body, copy.first, row) {
            Ok(Some((CopyPiece::Row(_), []))) => take_copied(row, masker),
            // What is not one row goes out by itself, and with it what follows.
            Ok(_) => break,
            Err(error) => Err(error),
        };
        *begun += 1;
        if taken.is_err() {
            break;
        }
        masker.end_row();
        alone = behind;
    }
    for ((frame, row), proof) in frames.iter().zip(&copy.rows).zip(masker.finish_rows()) {
        write_copied(&copy.format, row, frame.body, &proof, &mut Writer::message(out, tag::COPY_DATA));
    }
    taken?;
    alone.iter().try_for_each(|frame| {
        *begun += u64::from(is_copied_row(copy, frame.body));
        mask_copied(*frame, masker, copy, out)
    })
}

/// Masks COPY data and writes them; nothing of a message in which something must not go out.
pub(super) fn mask_copied(
    frame: Frame<'_>,
    masker: &mut Masker,
    copy: &mut CopyOut,
    out: &mut Vec<u8>,
) -> Result<(), WireError> {
    let start = out.len();
    let masked = mask_pieces(frame.body, masker, copy, out);
    if masked.is_err() {
        out.truncate(start);
    }
    masked
}

fn mask_pieces(mut data: &[u8], masker: &mut Masker, copy: &mut CopyOut, out: &mut Vec<u8>) -> Result<(), WireError> {
    let mut message = Writer::message(out, tag::COPY_DATA);
    let [row, ..] = &mut copy.rows;
    while let Some((piece, rest)) = postgres::next_piece(&copy.format, data, copy.first, row)? {
        match piece {
            CopyPiece::Frame(bytes) => {
                message.raw(bytes);
            }
            CopyPiece::Row(raw) if std::mem::take(&mut copy.header) => {
                message.raw(raw);
            }
            CopyPiece::Row(raw) => {
                masker.begin();
                take_copied(row, masker)?;
                write_copied(&copy.format, row, raw, &masker.finish(), &mut message);
            }
        }
        (data, copy.first) = (rest, false);
    }
    Ok(())
}

/// Shows a row of COPY data to the masker.
fn take_copied(row: &CopyRow, masker: &mut Masker) -> Result<(), WireError> {
    row.cells().enumerate().for_each(|(index, cell)| masker.cell(index, cell));
    passes(masker)
}

/// Writes a row of COPY data. Only the engine's proof opens this way.
fn write_copied(format: &CopyFormat, row: &CopyRow, raw: &[u8], proof: &Masked<'_>, message: &mut Writer<'_>) {
    if proof.is_unchanged() {
        message.raw(raw);
        return;
    }
    let mut changes = proof.changes();
    let changed = |(index, cell)| changes.of(index).unwrap_or(cell);
    message.with(|out| postgres::write_row(format, row.cells().enumerate().map(changed), out));
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::fuzz::setup;
    use super::super::tests::{described, message, row};
    use super::*;
    use crate::domain::{Chance, Environment, Happening, Secret, Timestamp};
    use crate::engine::{
        Catalog, CatalogColumn, CatalogRelation, Classification, Engine, Finding, Fingerprinter, MaskKey, Policy,
        Scope, Tripwire, Watched,
    };
    use crate::session::Duty;
    use crate::wire::postgres::Request;

    /// Does one after the other, the share first or last, and counts them.
    #[derive(Debug)]
    struct Alone {
        share_first: bool,
        shares: AtomicUsize,
    }

    impl Helper for Alone {
        fn both(&self, mut share: Box<Share>, own: &mut dyn FnMut()) -> Option<Box<Share>> {
            self.shares.fetch_add(1, Ordering::Relaxed);
            if self.share_first {
                share.run();
            }
            own();
            if !self.share_first {
                share.run();
            }
            Some(share)
        }
    }

    /// Loses everything.
    #[derive(Debug)]
    struct Loser;

    impl Helper for Loser {
        fn both(&self, _: Box<Share>, own: &mut dyn FnMut()) -> Option<Box<Share>> {
            own();
            None
        }
    }

    /// A value that no column may show.
    const WATCHED: &str = "a secret of somebody";

    /// A session that has asked for rows.
    fn asked(sql: &str, helper: Option<Arc<dyn Helper>>, rows_max: Option<u64>) -> Session {
        let mut setup = setup(Duty::Enforce);
        let mut grant = (*setup.grant).clone();
        grant.limits.rows_max = rows_max;
        setup.grant = Arc::new(grant);
        let maker = Fingerprinter::new(&MaskKey(Secret::new([7; 32])));
        let prints = maker.prints(Some("phone"), &[WATCHED]);
        let watched = Watched { place: (16_400, 3), name: "public.t.c".to_owned(), prints };
        let mut classification = Classification::default();
        classification.tripwire = Tripwire::new(&maker, vec![watched], &HashSet::new()).map(Arc::new);
        let finding = Finding { entity: "email".to_owned(), confidence: 1.0, evidence: String::new() };
        classification.findings.insert((16_400, 1), finding);
        classification.examined.extend([(16_400, 1), (16_400, 2)]);
        let column = |(name, attribute): (&str, _)| CatalogColumn {
            name: name.to_owned(),
            attribute,
            kind: 25,
            ..CatalogColumn::default()
        };
        let table = CatalogRelation {
            oid: 16_400,
            schema: "public".to_owned(),
            name: "t".to_owned(),
            columns: [("a", 1), ("b", 2)].map(column).into(),
            ..CatalogRelation::default()
        };
        let catalog = Arc::new(Catalog::new(vec![table], classification));
        let policy = Arc::new(Policy::built_in(Environment::Production));
        setup.engine = Arc::new(Engine::new(policy, catalog, Some(MaskKey(Secret::new([7; 32])))));
        let mut session = Session::new(setup, Scope::default());
        if let Some(helper) = helper {
            session = session.helped(helper);
        }
        let mut bytes = Vec::new();
        Request::Query { text: sql.as_bytes() }.write(&mut bytes);
        session.from_client(Timestamp::from_millis(1), &bytes, &mut Turn::default());
        session
    }

    /// What reaches the client of an answer that comes in pieces of so many bytes, and what is on record of its end.
    fn told(mut session: Session, answer: &[u8], size: usize) -> (Vec<u8>, String) {
        let (mut client, mut ends) = (Vec::new(), Vec::new());
        for piece in answer.chunks(size) {
            let mut turn = Turn::default();
            session.from_database(Timestamp::from_millis(2), piece, &mut turn);
            client.append(&mut turn.to_client);
            let told =
                |happening: &Happening| matches!(happening, Happening::StatementEnded(_) | Happening::Tripped { .. });
            let happened = turn.events.into_iter().map(|event| event.happening).filter(told);
            ends.extend(happened.map(|happening| format!("{happening:?}")));
        }
        (client, ends.join("\n"))
    }

    /// Answers of 2,000 rows: as a result and as COPY data, whole, with a row that is broken or must not go out somewhere.
    fn answers(chance: &mut Chance) -> Vec<(&'static str, Vec<u8>)> {
        let addresses = |chance: &mut Chance| {
            let number = chance.below(5_000);
            (
                format!("person{number}@mail.example.org"),
                if number.is_multiple_of(3) { "nothing" } else { "+47 22 12 34 56" },
            )
        };
        let end = [message(b'C', b"SELECT 2000\0"), message(b'Z', b"I")].concat();
        let mut found = Vec::new();
        for odd in [None, Some("watched"), Some("broken")] {
            let at = 1 + chance.below(1_999);
            let (mut rows, mut lines) = (described(&["a", "b"]), message(b'H', &[0, 0, 2, 0, 0, 0, 0]));
            for index in 0..2_000 {
                let (address, phone) = addresses(chance);
                let odd = odd.filter(|_| index == at);
                rows.extend(match odd {
                    None => row(&[&address, phone]),
                    Some("watched") => row(&[&address, WATCHED]),
                    Some(_) => message(tag::DATA_ROW, b"\0\x02\0"),
                });
                lines.extend(message(
                    tag::COPY_DATA,
                    match odd {
                        None => format!("{address}\t{phone}\n"),
                        Some("watched") => format!("{address}\t{WATCHED}\n"),
                        Some(_) => "no line".to_owned(),
                    }
                    .as_bytes(),
                ));
            }
            lines.extend(message(b'c', b""));
            found.push(("select a, b from t", [&rows[..], &end].concat()));
            found.push(("copy (select a, b from t limit 9) to stdout", [&lines[..], &end].concat()));
        }
        found
    }

    /// A share of a few rows, and what stands in their place when it is done.
    pub(crate) fn share_of_rows(number: usize) -> (Box<Share>, Vec<u8>) {
        let mut session = asked("select a, b from t", None, None);
        session.from_database(Timestamp::from_millis(2), &described(&["a", "b"]), &mut Turn::default());
        let Some(Pending::Query(run)) = session.pending.front_mut() else { panic!("nothing runs") };
        let mut share = Share::of(run.masker.as_ref().unwrap(), None);
        let rows: Vec<_> = (0..5).map(|index| row(&[&format!("p{number}.{index}@mail.example.org"), "x"])).collect();
        share.rows = rows.concat();
        let mut written = Vec::new();
        mask_all(run.masker.as_mut().unwrap(), None, &share.rows, &mut written);
        assert_ne!(share.rows, written);
        (share, written)
    }

    impl Share {
        pub(crate) fn written(&self) -> &[u8] {
            &self.written
        }
    }

    #[test]
    fn what_is_shared_is_as_if_nobody_helped() {
        let mut chance = Chance::new(4);
        let mut tripped = 0;
        for (sql, answer) in answers(&mut chance) {
            for rows_max in [None, Some(900), Some(2_000)] {
                let (expected, record) = told(asked(sql, None, rows_max), &answer, usize::MAX);
                assert!(!record.is_empty(), "{sql}: {}", String::from_utf8_lossy(&expected));
                tripped += usize::from(record.contains("Tripped"));
                for size in [40_000, 64 * 1024, usize::MAX] {
                    let helper = Arc::new(Alone { share_first: size == 40_000, shares: AtomicUsize::new(0) });
                    let helped = asked(sql, Some(Arc::<Alone>::clone(&helper)), rows_max);
                    let (client, recorded) = told(helped, &answer, size);
                    assert!(client == expected, "{sql}, {size} at once, {rows_max:?}");
                    assert_eq!(recorded, record, "{sql}, {size} at once, {rows_max:?}");
                    assert!(helper.shares.load(Ordering::Relaxed) > 0, "{sql}, {size} at once");
                }
            }
        }
        assert!(tripped > 0, "a row that must not go out was among them");
    }

    #[test]
    fn what_is_only_looked_at_is_not_shared() {
        let answer: Vec<u8> = [described(&["b"]), row(&["mail ada@example.org"]).repeat(4_000)].concat();
        let helper = Arc::new(Alone { share_first: true, shares: AtomicUsize::new(0) });
        let helped = asked("select b from t", Some(Arc::<Alone>::clone(&helper)), None);
        let (client, _) = told(helped, &answer, usize::MAX);
        assert_eq!(memchr::memmem::find(&client, b"ada@"), None, "it is looked at");
        assert_eq!(helper.shares.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_share_that_is_lost_ends_the_connection() {
        let (sql, answer) = answers(&mut Chance::new(5)).swap_remove(0);
        let mut session = asked(sql, Some(Arc::new(Loser)), None);
        let mut turn = Turn::default();
        session.from_database(Timestamp::from_millis(2), &answer, &mut turn);
        assert_eq!(turn.close, Some(crate::session::Closing::DatabaseFault));
    }
}
