//! Approvals in the store, and the race for one.

use rusqlite::Connection;

use super::*;
use crate::server::store::scratch;

fn approval(id: u8) -> Approval {
    let body = Body {
        yes: vec![],
        no: None,
        needed: 1,
        barred: vec!["alice".into()],
        approve_by_ms: 100_000,
        execute_by_ms: 200_000,
        session: None,
        binding: Digest([7; 32]).to_string(),
        digest: Digest([8; 32]).to_string(),
        asked_at: Timestamp::from_seconds(1).to_string(),
        who: "Alice".into(),
        kind: "person".into(),
        issuer: "https://idp.example".into(),
        actors: vec![],
        resource: "prod-db".into(),
        access: "write".into(),
        purpose: None,
        reference: None,
        text: Some("alter table t add c int".into()),
        values: vec![],
        normalized: "alter table t add c int".into(),
        operations: vec!["schema_change".into()],
        objects: vec![],
        search_path: vec!["public".into()],
        opaque: false,
        in_transaction: false,
        rule: "schema_change".into(),
        message: "this changes `t`".into(),
        detail: None,
        rows_max: None,
        remarks: vec![],
        about: About::Statement,
        lasts_ms: None,
        review_by_ms: None,
    };
    let id = ApprovalId::new(Timestamp::from_seconds(1), [id; 10]);
    Approval { id, ballot: body.ballot(ApprovalState::Pending), requester: "alice".into(), body }
}

#[test]
fn a_request_is_kept_as_it_is_and_its_text_is_forgotten_at_its_end() {
    let store = scratch("approval");
    let asked = approval(1);
    let (id, saved) = (asked.id, asked.clone());
    store.run_blocking(move |db| insert(db, &saved, Timestamp::from_seconds(1))).unwrap();
    assert_eq!(store.run_blocking(move |db| load(db, id)).unwrap(), Some((0, asked)));
    let now = Timestamp::from_seconds(2);
    let play = |wanted: Owned| store.run_blocking(move |db| change(db, id, now, &wanted, None, None)).unwrap().unwrap();
    assert!(play(Owned::Approve("alice".into())).refused.is_some());
    let approved = play(Owned::Approve("bob".into())).approval;
    assert_eq!((approved.ballot.state, approved.body.text.is_some()), (ApprovalState::Approved, true));
    assert!(play(Owned::Other(Move::Use)).refused.is_none());
    assert!(play(Owned::Other(Move::Use)).refused.is_some(), "good for one execution");
    let done = play(Owned::Other(Move::Finish(Executed::Well))).approval;
    assert_eq!((done.ballot.state, done.body.text), (ApprovalState::Executed, None));
    assert_eq!(store.run_blocking(|db| load_all(db, true)).unwrap(), []);
    assert_eq!(store.run_blocking(|db| load_all(db, false)).unwrap().len(), 1);
}

/// What a killed process has saved and not put on record is what the next one finds, in order.
#[test]
fn a_move_is_noted_with_what_it_changes_until_it_is_done() {
    let store = scratch("moves");
    let asked = approval(1);
    let id = asked.id;
    store.run_blocking(move |db| insert(db, &asked, Timestamp::from_seconds(1))).unwrap();
    let now = Timestamp::from_seconds(2);
    let play = |wanted: Owned, by: Option<&'static str>| {
        store.run_blocking(move |db| change(db, id, now, &wanted, by, None)).unwrap().unwrap()
    };
    play(Owned::Other(Move::Tick), None);
    assert!(play(Owned::Approve("alice".into()), Some("alice")).refused.is_some());
    play(Owned::Approve("bob".into()), Some("bob"));
    play(Owned::Other(Move::Use), None);
    let left = |after| {
        let left = store.run_blocking(move |db| moves::left(db, after)).unwrap();
        left.into_iter().map(|made| (made.number, made.from, made.to, made.by, made.recorded)).collect::<Vec<_>>()
    };
    use ApprovalState::{Approved, Executing, Pending};
    let asked = (1, None, Pending, Some("alice".to_owned()), false);
    let approved = (2, Some(Pending), Approved, Some("bob".to_owned()), false);
    let executing = (3, Some(Approved), Executing, None, false);
    assert_eq!(left(0), [asked, approved, executing.clone()], "nothing of what was refused, or changed nothing");
    // What is not on record is not done.
    store.run_blocking(|db| moves::done(db, 1).and_then(|()| moves::recorded(db, 2))).unwrap();
    store.run_blocking(|db| moves::done(db, 1).and_then(|()| moves::done(db, 3))).unwrap();
    assert_eq!(left(0).len(), 2);
    assert_eq!(left(2), [executing]);
    // A number is never used again: what was told is told from there.
    store.run_blocking(|db| moves::recorded(db, 3).and_then(|()| moves::done(db, 3))).unwrap();
    play(Owned::Other(Move::Finish(Executed::Well)), None);
    assert_eq!(left(3).first().map(|made| made.0), Some(4));
}

/// One party of the race: it reads, thinks, and saves what it has read and thought, unless somebody was faster; then it
/// begins anew.
struct Party {
    wanted: Owned,
    read: Option<(i64, Approval)>,
    /// It got what it wanted, or was told that it cannot have it.
    done: Option<bool>,
}

impl Party {
    fn step(&mut self, db: &Transaction<'_>, id: ApprovalId) {
        let now = Timestamp::from_seconds(2);
        match self.read.take() {
            None => self.read = load(db, id).unwrap(),
            Some((version, mut approval)) => match approval.ballot.play(now, self.wanted.wanted()) {
                // Too early is not never: the consumer waits.
                Err(failure) if failure.kind == Kind::Pending => {}
                Err(_) => self.done = Some(false),
                Ok(_) => self.done = save(db, version, &mut approval).unwrap().then_some(true),
            },
        }
    }
}

/// The numbers of xorshift64, from a seed.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[test]
fn of_two_approvers_a_withdrawal_and_two_consumers_one_execution_comes_or_none() {
    const ROUNDS: u32 = 10_000;
    let mut connection = Connection::open_in_memory().unwrap();
    for step in MIGRATIONS.steps {
        connection.execute_batch(step).unwrap();
    }
    let seed: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut chance = seed;
    let mut executions = [0u32; 3];
    for _ in 0..ROUNDS {
        let db = connection.transaction().unwrap();
        db.execute("DELETE FROM approvals", []).unwrap();
        let mut asked = approval(3);
        asked.body.needed = 1 + usize::try_from(next(&mut chance) % 2).unwrap();
        insert(&db, &asked, Timestamp::from_seconds(1)).unwrap();
        let party = |wanted| Party { wanted, read: None, done: None };
        let mut parties = [
            party(Owned::Approve("bob".into())),
            party(Owned::Approve("carol".into())),
            party(Owned::Other(Move::Withdraw)),
            party(Owned::Other(Move::Use)),
            party(Owned::Other(Move::Use)),
        ];
        let mut steps = 0;
        while parties.iter().any(|party| party.done.is_none()) {
            let index = usize::try_from(next(&mut chance) % 5).unwrap();
            if parties[index].done.is_none() {
                parties[index].step(&db, asked.id);
            }
            steps += 1;
            assert!(steps < 10_000, "seed {seed:x}: nobody gets anywhere");
        }
        let executed = parties[3..].iter().filter(|party| party.done == Some(true)).count();
        let (_, end) = load(&db, asked.id).unwrap().unwrap();
        let withdrawn = parties[2].done == Some(true);
        assert!(executed <= 1, "seed {seed:x}: executed {executed} times");
        let expected = if executed == 1 { ApprovalState::Executing } else { ApprovalState::Withdrawn };
        assert_eq!((end.ballot.state, withdrawn), (expected, executed == 0), "seed {seed:x}");
        executions[executed] += 1;
        db.commit().unwrap();
    }
    println!(
        "{ROUNDS} rounds: {} with one execution, {} with none, {} with more",
        executions[1], executions[0], executions[2]
    );
    assert!(executions[0] > 0 && executions[1] > 0 && executions[2] == 0, "{executions:?}");
}
