//! The log: exactly once, one order, proofs, and what happens when things fail.

use std::collections::{BTreeMap, BTreeSet};

use std::path::PathBuf;

use super::*;
use crate::audit::{self, Carried, Checkpoint, Context, Head, Note, Report, Verifier, Walk};
use crate::domain::{
    Access, Action, Identity, IdentityKind, Limits, Method, Operation, Outcome, Parse, Secret, Shown, Statement,
    StatementEnd, StatementId, StatementStart, TextKeyId, Verdict,
};
use crate::runtime::drain::Drain;
use crate::server::check::Compared;
use crate::server::raw_texts;
use crate::server::timeline::{self, Timeline};

const ALICE: &str = "u-alice";

fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("gov-log-{}-{name}", std::process::id()));
    drop(std::fs::remove_dir_all(&path));
    path
}

fn signer(seed: u8) -> Signer {
    Signer::new(Secret::new([seed; 32])).unwrap()
}

fn open(folder: &Path) -> Result<Log, Failure> {
    let server = signer(1);
    let pseudonyms = Pseudonyms::new(Secret::new([3; 32]));
    Log::open(Opening { folder, server, origin: "gov.example/log", pseudonyms })
}

fn grant() -> Arc<Grant> {
    let now = clock::now();
    Arc::new(Grant {
        session: random::session_id().unwrap(),
        identity: Identity {
            issuer: "https://idp.example".to_owned(),
            subject: "alice".to_owned(),
            name: "Alice".to_owned(),
            email: None,
            groups: Vec::new(),
            kind: IdentityKind::Person,
            actors: Vec::new(),
            method: Method::IdToken,
            proved_at: now,
        },
        resource: "prod-db".parse().unwrap(),
        labels: BTreeMap::new(),
        purpose: None,
        access: Access::Read,
        reveal: Vec::new(),
        masking: crate::domain::Masking::Wire,
        limits: Limits { connections_max: 1, rows_max: None },
        opened_at: now,
        expires_at: now.after(Duration::from_secs(3600)),
        policy: Digest([4; 32]),
    })
}

fn event(grant: &Grant, happening: Happening) -> Event {
    Event { at: clock::now(), session: Some(grant.session), happening }
}

/// What both sides record of a session with so many statements.
fn statements(grant: &Grant, count: u64) -> Vec<Event> {
    let statement = Arc::new(Statement {
        parse: Parse::Understood,
        normalized: "SELECT $1".into(),
        operations: [Operation::Read].into(),
        relations: [].into(),
        tags: [].into(),
        functions: [].into(),
        length: 8,
    });
    let start = |id| {
        let (statement, rules) = (Arc::clone(&statement), Arc::from([]));
        let (raw_hmac, sealed, verdict, approval) = (Digest([5; 32]), None, Verdict::Allow, None);
        Happening::StatementStarted(StatementStart { id, statement, raw_hmac, sealed, verdict, rules, approval })
    };
    let end = |id| {
        let (rows, bytes, masked_columns, masked_cells, took) = (1, 2, 0, 0, Duration::ZERO);
        let (outcome, shown) = (Outcome::Ok, Shown::default());
        Happening::StatementEnded(StatementEnd { id, outcome, rows, bytes, masked_columns, masked_cells, shown, took })
    };
    let closed = Happening::SessionClosed { why: "client" };
    let ids = (1..=count).map(|number| StatementId { stream: 1, number });
    ids.flat_map(|id| [start(id), end(id)]).chain([closed]).map(|happening| event(grant, happening)).collect()
}

/// The same, with the raw texts that a gateway keeps.
fn with_raw_texts(grant: &Grant, count: u64) -> Vec<Event> {
    let sealer = audit::TextSealer::new(TextKeyId([1; 8]), &Secret::new([9; 32]), grant.session).unwrap();
    let mut events = statements(grant, count);
    for (event, number) in events.iter_mut().zip(0..) {
        if let Happening::StatementStarted(start) = &mut event.happening {
            let text = format!("SELECT {number}");
            start.sealed = Some(Arc::new(sealer.seal(1, number, text.as_bytes()).unwrap()));
        }
    }
    events
}

/// A client with a journal of its own.
struct Client {
    grant: Arc<Grant>,
    journal: Journal,
    recorder: Recorder,
    gateway: Recorder,
    _recorders: Recorders,
}

impl Client {
    fn new(log: &Log, name: &str) -> Self {
        let grant = grant();
        let journal = Journal::open(&folder(name), Settings::new(1 << 30)).unwrap().unwrap().0;
        let recorders = Recorders::start(&journal).unwrap();
        let key = random::signer().unwrap();
        let books = log.open_session(&grant, ALICE, key.public(), Peer::default()).unwrap();
        let context = Context::session(Side::Client, &grant, ALICE);
        let recorder = recorders.open(key, &books.client_certificate, &context).unwrap();
        Self { grant, journal, recorder, gateway: books.gateway, _recorders: recorders }
    }

    /// Records on both sides and closes both.
    fn run(&self, count: u64) {
        for event in statements(&self.grant, count) {
            self.recorder.record(&event).unwrap();
            self.gateway.record(&event).unwrap();
        }
        let last = self.recorder.close().unwrap();
        self.journal.wait_durable(last).unwrap();
        self.gateway.close().unwrap();
    }

    fn envelopes(&self) -> Vec<String> {
        let mut drain = Drain::new(&self.journal);
        let mut envelopes = Vec::new();
        while let Some(drained) = drain.next().unwrap() {
            envelopes.extend(drained.envelopes.into_iter().map(Carried::into_line));
        }
        envelopes
    }
}

/// Writes what the API serves as files into a folder.
fn export(log: &Log, folder: &Path) -> Result<Head, Failure> {
    let db = log.reader.lock().unwrap_or_else(PoisonError::into_inner);
    let broken = |error: rusqlite::Error| writer::broken(&error);
    let Some((head, note)) = tables::checkpoint(&db).map_err(broken)? else {
        return Err(Failure::new(Kind::NotFound, "the log is empty"));
    };
    let write = |path: &str, bytes: &[u8]| {
        let path: PathBuf = folder.join(path);
        files::write_private(&path, bytes).map_err(|error| {
            Failure::new(Kind::Usage, format!("`{}` cannot be written", path.display())).detail(format!("{error}."))
        })
    };
    for tile in Tile::all(0, head.size) {
        let path = tile.path();
        let bytes = file(&db, &path).map_err(broken)?;
        let bytes = bytes.ok_or_else(|| Failure::new(Kind::Internal, format!("the log has no `{path}`")))?;
        write(&path, &bytes)?;
    }
    let (raw_texts, _) = tables::sealed(&db, 0, usize::MAX).map_err(broken)?;
    write(RAW_TEXTS, &raw_texts)?;
    write("checkpoint", note.as_bytes())?;
    Ok(head)
}

/// Where an exported log has its raw texts.
const RAW_TEXTS: &str = "sealed";

/// The envelopes of an exported log, whose tree is recomputed on the way.
fn read_export(folder: &Path, log: &NoteKey) -> (Head, Vec<String>) {
    let note = std::fs::read_to_string(folder.join("checkpoint")).unwrap();
    let head = Checkpoint::open(&Note::read(&note).unwrap(), log).unwrap().head;
    let mut frontier = audit::Frontier::default();
    let mut lines = Vec::new();
    for tile in Tile::all(0, head.size).into_iter().filter(|tile| tile.kind == TileKind::Entries) {
        let bytes = std::fs::read(folder.join(tile.path())).unwrap();
        for entry in audit::bundle_entries(&bytes).unwrap() {
            frontier.append(audit::leaf(entry));
            lines.push(String::from_utf8(entry.to_vec()).unwrap());
        }
    }
    assert_eq!((frontier.size(), frontier.root()), (head.size, head.root));
    (head, lines)
}

fn verified(lines: &[String]) -> Report {
    let mut verifier = Verifier::new(signer(1).public());
    lines.iter().for_each(|line| verifier.envelope(line));
    verifier.finish()
}

fn export_of(log: &Log, name: &str) -> (PathBuf, Head, Vec<String>) {
    let target = folder(name);
    let head = export(log, &target).unwrap();
    let (read, lines) = read_export(&target, log.key());
    assert_eq!(read, head);
    (target, head, lines)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_accounts_of_a_session_end_up_in_one_proved_log() {
    let place = folder("flow");
    let log = open(&place).unwrap();
    let client = Client::new(&log, "flow-client");
    log.durable(log.record(None, Happening::LoginFailed { why: "expired" }).unwrap()).await.unwrap();
    client.run(500);
    let envelopes = client.envelopes();
    assert!(envelopes.len() > 5);
    let receipt = log.upload(ALICE, envelopes.clone(), 0).await.unwrap();
    let head = receipt.check(&envelopes, log.key(), Head::empty()).unwrap();
    let again = log.upload(ALICE, envelopes.clone(), 0).await.unwrap();
    let leaves = |receipt: &Receipt| receipt.inclusions.iter().map(|inclusion| inclusion.leaf).collect::<Vec<_>>();
    assert_eq!(leaves(&again), leaves(&receipt));

    drop(client.gateway);
    let key = log.key().clone();
    drop(log);
    let log = open(&place).unwrap();
    assert_eq!((log.key(), log.recovery()), (&key, Recovery::default()));
    let (_, grown, lines) = export_of(&log, "flow-export");
    let (own, receipt) = log.of_subject(ALICE, None, head.size).await.unwrap();
    assert_eq!(receipt.check(&own, &key, head).unwrap(), grown);
    let report = verified(&lines);
    assert_eq!(report.faults, []);
    assert_eq!((report.statements.matched, report.keys_closed, report.repeated), (500, 3, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_prove_itself_or_belongs_to_others_stays_out() {
    let log = open(&folder("refuse")).unwrap();
    let client = Client::new(&log, "refuse-client");
    client.run(2);
    let envelopes = client.envelopes();
    let batch = envelopes.iter().find(|line| line.contains(audit::RECORDS_TYPE)).unwrap().clone();
    // The journal's certificate comes in with the log's own thread.
    while log.upload(ALICE, vec![envelopes[0].clone()], 0).await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let refused = async |subject: &str, line: String, why: &str| {
        let failure = log.upload(subject, vec![line], 0).await.unwrap_err();
        assert_eq!((failure.kind, failure.message.as_str()), (Kind::Denied, "the log does not take this record"));
        assert!(failure.detail.as_ref().unwrap().contains(why), "{failure:?}");
    };
    refused("u-bob", batch.clone(), "may not be used by this caller").await;
    let at = batch.find("\"payload\":\"").unwrap() + 60;
    let mut changed = batch.clone().into_bytes();
    changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
    refused(ALICE, String::from_utf8(changed).unwrap(), "signature is not by").await;
    refused(ALICE, "nonsense".to_owned(), "not an envelope").await;

    // The same key signs something else for the same place.
    let key = random::signer().unwrap();
    let grant = grant();
    let books = log.open_session(&grant, ALICE, key.public(), Peer::default()).unwrap();
    let mut forks = Vec::new();
    for name in ["fork-one", "fork-two"] {
        let journal = Journal::open(&folder(name), Settings::new(1 << 30)).unwrap().unwrap().0;
        let recorders = Recorders::start(&journal).unwrap();
        let context = Context::session(Side::Client, &grant, ALICE);
        let recorder = recorders.open(key.clone(), &books.client_certificate, &context).unwrap();
        for event in statements(&grant, 3) {
            recorder.record(&event).unwrap();
        }
        journal.wait_durable(recorder.close().unwrap()).unwrap();
        let mut drain = Drain::new(&journal);
        let drained = drain.next().unwrap().unwrap();
        forks.push(
            drained
                .envelopes
                .into_iter()
                .map(Carried::into_line)
                .find(|line| line.contains(audit::RECORDS_TYPE))
                .unwrap(),
        );
    }
    while log.upload(ALICE, vec![forks[0].clone()], 0).await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    refused(ALICE, forks[1].clone(), "has signed something else for record 0").await;
    let many = vec![batch; UPLOAD_MAX + 1];
    assert_eq!(log.upload(ALICE, many, 0).await.unwrap_err().kind, Kind::Limit);
}

#[test]
fn a_log_put_back_to_an_earlier_state_is_not_opened() {
    let place = folder("rollback");
    drop(open(&place).unwrap());
    let copy = std::fs::read(place.join("log.db")).unwrap();
    let log = open(&place).unwrap();
    Client::new(&log, "rollback-client").run(1);
    drop(log);
    crate::runtime::files::write_private(&place.join("log.db"), &copy).unwrap();
    drop(std::fs::remove_file(place.join("log.db-wal")));
    let failure = open(&place).unwrap_err();
    assert_eq!(failure.message, "the log is not what it was");
    assert!(failure.detail.unwrap().contains("the checkpoint remembered beside it says"));
}

#[test]
fn a_log_whose_hashes_were_changed_is_not_opened() {
    let place = folder("changed");
    let log = open(&place).unwrap();
    Client::new(&log, "changed-client").run(1);
    drop(log);
    let db = Connection::open(place.join("log.db")).unwrap();
    db.execute("UPDATE envelopes SET hash = zeroblob(32) WHERE leaf = 1", []).unwrap();
    drop(db);
    assert_eq!(open(&place).unwrap_err().message, "the log is not what it was");
}

/// Uploads that are lost on the way there or back, doubled, and out of order: each envelope is in the log once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_uploads_arrive_each_envelope_is_in_the_log_once() {
    /// Uploads on their way at the same time.
    const AT_ONCE: usize = 64;
    let place = folder("uploads");
    let log = Arc::new(open(&place).unwrap());
    let client = Client::new(&log, "uploads-client");
    // `GOV_UPLOADS=100000` makes so many envelopes.
    let wanted = crate::runtime::env::var("GOV_UPLOADS").and_then(|text| text.parse().ok()).unwrap_or(10_000u64);
    for event in &statements(&client.grant, wanted.div_ceil(2)) {
        client.recorder.record(event).unwrap();
        client.recorder.sign_unsynced();
    }
    client.journal.wait_durable(client.recorder.close().unwrap()).unwrap();
    let mut waiting: Vec<Vec<String>> = client.envelopes().chunks(7).map(<[String]>::to_vec).collect();
    let envelopes: usize = waiting.iter().map(Vec::len).sum();
    let (mut random, mut again) = (chance(9), Vec::new());
    let (mut attempts, mut leaves) = (0, BTreeSet::new());
    while !waiting.is_empty() {
        // As many clients as there may be, at the same time: in which order they come in is the machine's to say.
        let mut sending = tokio::task::JoinSet::new();
        for _ in 0..waiting.len().min(AT_ONCE) {
            attempts += 1;
            let batch = waiting.swap_remove(random(waiting.len()));
            let fate = random(100);
            // Lost on the way there.
            if fate < 5 {
                again.push(batch);
                continue;
            }
            // Sent twice at once, or lost on the way back: then it comes again.
            let (copies, lost) = (if fate < 10 { 2 } else { 1 }, fate < 15);
            for copy in 0..copies {
                let (log, batch) = (Arc::clone(&log), batch.clone());
                let lost = lost && copy == 0;
                sending.spawn(async move {
                    let answer = log.upload(ALICE, batch.clone(), 0).await;
                    (answer.ok().filter(|_| !lost), batch)
                });
            }
        }
        while let Some(sent) = sending.join_next().await {
            match sent.unwrap() {
                (Some(receipt), _) => leaves.extend(receipt.inclusions.iter().map(|inclusion| inclusion.leaf)),
                (None, batch) => again.push(batch),
            }
        }
        waiting.append(&mut again);
    }
    drop(client.gateway);
    drop(log);
    let (_, _, lines) = export_of(&open(&place).unwrap(), "uploads-export");
    let report = verified(&lines);
    println!(
        "uploads: {attempts} attempts, {envelopes} envelopes, {} leaves, {} doubled",
        leaves.len(),
        report.repeated
    );
    assert_eq!((leaves.len(), report.repeated), (envelopes, 0), "each once, and none twice");
    let faults: Vec<_> =
        report.faults.iter().filter(|fault| !matches!(fault.what, audit::Wrong::ClientOnly { .. })).collect();
    assert!(faults.is_empty(), "{faults:?}");
}

/// The exported files as Cloudflare's `tlog_tiles` and `signed_note` read them.
#[test]
fn tools_that_are_not_ours_read_the_log() {
    use tlog_tiles::{Checkpoint as TheirCheckpoint, HashReader, Tile as TheirTile, TileHashReader, TileReader};

    #[derive(Debug)]
    struct Files(PathBuf);

    impl TileReader for Files {
        fn height(&self) -> u8 {
            8
        }

        fn read_tiles(&self, tiles: &[TheirTile]) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
            let name = |tile: &TheirTile| {
                Tile {
                    kind: TileKind::Hashes { height: tile.level() },
                    index: tile.level_index(),
                    width: u64::from(tile.width()),
                }
                .path()
            };
            Ok(tiles.iter().map(|tile| std::fs::read(self.0.join(name(tile))).unwrap()).collect())
        }

        fn save_tiles(&self, _: &[TheirTile], _: &[Vec<u8>]) {}
    }

    let place = folder("theirs");
    let log = open(&place).unwrap();
    let client = Client::new(&log, "theirs-client");
    for event in statements(&client.grant, 700) {
        client.gateway.record(&event).unwrap();
        if matches!(event.happening, Happening::StatementEnded(_)) {
            client.gateway.sign_now().unwrap();
        }
    }
    client.gateway.close().unwrap();
    drop((client, log));
    let log = open(&place).unwrap();
    let (target, head, lines) = export_of(&log, "theirs-export");
    assert!(lines.len() > 700);
    let note = signed_note::Note::from_bytes(&std::fs::read(target.join("checkpoint")).unwrap()).unwrap();
    let verifier = signed_note::StandardVerifier::new(&log.key().text()).unwrap();
    let (verified, _) = note.verify(&signed_note::VerifierList::new(vec![Box::new(verifier)])).unwrap();
    assert_eq!(verified.len(), 1);
    let theirs = TheirCheckpoint::from_bytes(note.text()).unwrap();
    assert_eq!((theirs.origin(), theirs.size(), theirs.hash().0), ("gov.example/log", head.size, head.root.0));
    let files = Files(target);
    let reader = TileHashReader::new(theirs.size(), *theirs.hash(), &files);
    for (leaf, line) in lines.iter().enumerate().step_by(97) {
        let leaf = u64::try_from(leaf).unwrap();
        let hash = tlog_tiles::record_hash(line.as_bytes());
        let found = reader.read_hashes(&[tlog_tiles::stored_hash_index(0, leaf)]).unwrap();
        assert_eq!(found, [hash]);
        let ours = {
            let db = log.reader.lock().unwrap();
            audit::prove_inclusion(leaf, head.size, &tables::Kept::new(&db)).unwrap()
        };
        let proof: Vec<_> = ours.iter().map(|hash| tlog_tiles::Hash(hash.0)).collect();
        tlog_tiles::check_record(&proof, theirs.size(), *theirs.hash(), leaf, hash).unwrap();
    }
}

/// Chance that can be had again: xorshift64 (Marsaglia 2003).
fn chance(mut state: u64) -> impl FnMut(usize) -> usize {
    move |limit| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(limit).unwrap()).unwrap()
    }
}

/// A thousand different changes to a log that somebody handed on. Each is noticed; but an older state of the log only
/// by whoever remembers a newer one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_changed_in_a_log_is_noticed() {
    let place = folder("mutations");
    let log = open(&place).unwrap();
    let client = Client::new(&log, "mutations-client");
    for (gateway, own) in with_raw_texts(&client.grant, 60).iter().zip(&statements(&client.grant, 60)) {
        client.gateway.record(gateway).unwrap();
        client.recorder.record(own).unwrap();
        client.gateway.sign_now().unwrap();
    }
    client.journal.wait_durable(client.recorder.close().unwrap()).unwrap();
    client.gateway.close().unwrap();
    for batch in client.envelopes().chunks(UPLOAD_MAX) {
        log.upload(ALICE, batch.to_vec(), 0).await.unwrap();
    }
    let key = log.key().clone();
    drop(client.gateway);
    drop(log);
    let log = open(&place).unwrap();
    let (target, head, lines) = export_of(&log, "mutations-export");
    let note = std::fs::read_to_string(target.join("checkpoint")).unwrap();
    let raw_texts = std::fs::read(target.join(RAW_TEXTS)).unwrap();
    let judge = |note: &str, lines: &[Vec<u8>], tiles: &[(Tile, Vec<u8>)], raw_texts: &[u8], remembered: Head| {
        let (_, checkpoint) = audit::checkpoint(note, &key).map_err(drop)?;
        let mut walk = Walk::new(key.public, remembered);
        lines.iter().for_each(|line| walk.entry(line));
        tiles.iter().for_each(|(tile, contents)| walk.tile(*tile, contents));
        walk.raw_texts(raw_texts);
        Ok::<bool, ()>(walk.finish(checkpoint.head).is_sound())
    };
    let lines: Vec<Vec<u8>> = lines.into_iter().map(String::into_bytes).collect();
    let hashes = Tile::all(0, head.size).into_iter().filter(|tile| tile.kind != TileKind::Entries);
    let tiles: Vec<_> = hashes.map(|tile| (tile, std::fs::read(target.join(tile.path())).unwrap())).collect();
    assert_eq!(judge(&note, &lines, &tiles, &raw_texts, Head::empty()), Ok(true));
    let (mut random, mut noticed) = (chance(7), 0);
    for attempt in 0..1000 {
        let (mut changed, mut signed, mut tiled) = (lines.clone(), note.clone().into_bytes(), tiles.clone());
        let mut texts = raw_texts.clone();
        let at = random(changed.len());
        match attempt % 9 {
            0 => {
                let byte = random(changed[at].len());
                changed[at][byte] ^= 1 << random(8);
            }
            1 => drop(changed.remove(at)),
            2 => changed.insert(at, lines[random(lines.len())].clone()),
            3 if at > 0 => changed.swap(at, at - 1),
            4 => changed.truncate(at),
            5 => {
                let contents = &mut tiled[random(tiles.len())].1;
                let byte = random(contents.len());
                contents[byte] ^= 1 << random(8);
            }
            6 => {
                let byte = random(texts.len());
                texts[byte] ^= 1 << random(8);
            }
            7 => texts.truncate(random(texts.len())),
            _ => {
                let byte = random(signed.len());
                signed[byte] ^= 1 << random(7);
            }
        }
        let judged = |signed: String| judge(&signed, &changed, &tiled, &texts, Head::empty());
        noticed += u32::from(String::from_utf8(signed).map_or(Ok(false), judged) != Ok(true));
    }
    println!(
        "mutations of entries, tiles, raw texts and checkpoint: 1000 attempts, {noticed} noticed, {} missed",
        1000 - noticed
    );
    assert_eq!(noticed, 1000);

    // An older state with the checkpoint it had then.
    let older = crate::audit::Head { size: 2, root: audit::Frontier::default().root() };
    let mut frontier = audit::Frontier::default();
    lines[..2].iter().for_each(|line| drop(frontier.append(audit::leaf(line))));
    let older = Head { root: frontier.root(), ..older };
    let text = Checkpoint { origin: key.name.clone(), head: older }.text();
    let signer = NoteSigner::new(&key.name, Algorithm::Ed25519, signer(1)).unwrap();
    let older_note = format!("{text}\n{}", signer.sign(&text, clock::now()).unwrap());
    assert_eq!(judge(&older_note, &lines[..2], &[], &raw_texts, Head::empty()), Ok(true), "nobody remembers");
    assert_eq!(judge(&older_note, &lines[..2], &[], &raw_texts, head), Ok(false), "somebody remembers");
}

/// Rows of the database, changed one at a time behind the server's back: the log is not opened, or what it then shows
/// does not verify.
#[test]
fn whatever_is_changed_in_the_rows_of_a_log_is_noticed() {
    const ATTEMPTS: u32 = 100;
    let place = folder("rows");
    let log = open(&place).unwrap();
    let client = Client::new(&log, "rows-client");
    for event in with_raw_texts(&client.grant, 300) {
        client.gateway.record(&event).unwrap();
        client.gateway.sign_now().unwrap();
    }
    client.gateway.close().unwrap();
    drop((client, log));
    let key = open(&place).unwrap().key().clone();
    let db = Connection::open(place.join("log.db")).unwrap();
    // Of the tree, of what is in it and beside it, and of what was signed about it.
    let columns = [
        ("envelopes", "body"),
        ("envelopes", "hash"),
        ("sealed", "texts"),
        ("nodes", "hash"),
        ("checkpoint", "root"),
        ("checkpoint", "note"),
        ("checkpoint", "size"),
    ];
    let (mut random, mut refused, mut shown) = (chance(8), 0, 0);
    for attempt in 0..ATTEMPTS {
        let (table, column) = columns[random(columns.len())];
        let rows: i64 = db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
        let at = random(usize::try_from(rows).unwrap());
        let select = format!("SELECT rowid, {column} FROM {table} LIMIT 1 OFFSET {at}");
        let select = if table == "nodes" { select.replace("rowid", "number") } else { select };
        let (row, old): (i64, rusqlite::types::Value) =
            db.query_row(&select, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        let new = match old.clone() {
            rusqlite::types::Value::Integer(number) => rusqlite::types::Value::Integer(number - 1),
            rusqlite::types::Value::Text(text) => {
                let mut bytes = text.into_bytes();
                let byte = random(bytes.len());
                bytes[byte] = if bytes[byte] == b'x' { b'y' } else { b'x' };
                rusqlite::types::Value::Text(String::from_utf8_lossy(&bytes).into_owned())
            }
            rusqlite::types::Value::Blob(mut bytes) => {
                let byte = random(bytes.len());
                bytes[byte] ^= 1 << random(8);
                rusqlite::types::Value::Blob(bytes)
            }
            other => other,
        };
        let id = if table == "nodes" { "number" } else { "rowid" };
        let update = format!("UPDATE {table} SET {column} = ?1 WHERE {id} = ?2");
        db.execute(&update, (&new, row)).unwrap();
        let now = |db: &Connection| -> rusqlite::types::Value {
            let select = format!("SELECT {column} FROM {table} WHERE {id} = ?1");
            db.query_row(&select, [row], |row| row.get(0)).unwrap()
        };
        match open(&place) {
            Err(failure) => {
                assert_eq!(failure.message, "the log is not what it was", "{table}.{column}");
                refused += 1;
            }
            Ok(log) => {
                let target = folder("rows-export");
                let sound = export(&log, &target).is_ok_and(|_| reads_well(&target, &key));
                // The next checkpoint takes the place of a note that was changed.
                let replaced = column == "note" && now(&db) != new;
                assert!(!sound || replaced, "attempt {attempt}: {table}.{column} of row {row}: {old:?} became {new:?}");
                shown += 1;
                drop(log);
            }
        }
        if now(&db) != new {
            continue;
        }
        db.execute(&update, (&old, row)).unwrap();
    }
    println!("mutations of rows: {ATTEMPTS} attempts, {refused} not opened, {shown} shown by verification, 0 missed");
}

/// What the verifier without a line of ours says of an exported log: nothing, or what is wrong.
fn second_opinion(folder: &Path, key: &NoteKey) -> Option<String> {
    let verifier = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verify.py");
    let ran =
        std::process::Command::new("/usr/bin/python3").arg(verifier).arg(folder).arg(key.text()).output().unwrap();
    (!ran.status.success()).then(|| String::from_utf8_lossy(&ran.stderr).trim().to_owned())
}

/// Exports the log and has both verifiers read it.
async fn judged(log: &Log, client: &Client, name: &str) -> (Option<String>, Option<String>) {
    log.settled().await;
    log.upload(ALICE, client.envelopes(), 0).await.unwrap();
    log.published().await;
    let (target, _, lines) = export_of(log, name);
    let faults = verified(&lines).faults;
    (faults.first().map(ToString::to_string), second_opinion(&target, log.key()))
}

/// Whoever looks after a crash may find a record that had been signed a moment before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_was_signed_and_found_too_satisfies_both_verifiers() {
    let log = open(&folder("twice")).unwrap();
    let client = Client::new(&log, "twice-client");
    client.run(3);
    log.settled().await;
    let signed = log.of_session(client.grant.session, None).await.unwrap();
    let key = client.gateway.key();
    let texts: Vec<String> = signed.into_iter().flat_map(|leaf| leaf.records).collect();
    assert!(texts.len() > 5, "{texts:?}");
    for record in texts {
        log.record(None, Happening::Recovered { key, record, sealed: Vec::new() }).unwrap();
    }
    assert_eq!(judged(&log, &client, "twice-export").await, (None, None));
}

/// A gateway that lets through what needed somebody's word, without it, is told by both verifiers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ran_without_the_word_it_needed_is_told_by_both_verifiers() {
    for (name, rule, action, told) in [
        ("held", "missing_where", Action::Hold, Some("needed approval and ran; nobody approved it on record")),
        ("shown", "revealed_column", Action::Allow, Some("showed masked columns as they are")),
        ("observed", "missing_where", Action::Observe, None),
    ] {
        let log = open(&folder(name)).unwrap();
        let client = Client::new(&log, &format!("{name}-client"));
        for mut event in statements(&client.grant, 1) {
            client.recorder.record(&event).unwrap();
            if let Happening::StatementStarted(start) = &mut event.happening {
                start.rules = Arc::from([(rule, action)]);
            }
            client.gateway.record(&event).unwrap();
        }
        client.journal.wait_durable(client.recorder.close().unwrap()).unwrap();
        client.gateway.close().unwrap();
        let (ours, theirs) = judged(&log, &client, &format!("{name}-export")).await;
        for said in [ours, theirs] {
            assert_eq!(said.is_some(), told.is_some(), "{name}: {said:?}");
            assert!(said.is_none_or(|said| said.contains(told.unwrap())), "{name}");
        }
    }
}

/// What a session typed before a crash is found with the rest of it, though another key signed it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_raw_text_found_after_a_crash_is_of_its_session() {
    let log = open(&folder("found")).unwrap();
    let client = Client::new(&log, "found-client");
    let session = client.grant.session;
    let record = format!(
        r#"{{"id":"{}","seq":0,"ts":"2026-11-22T12:00:00.000Z","kind":"stmt.start","sid":"{session}","side":"gateway","stid":"1.1"}}"#,
        "0".repeat(26)
    );
    let mut sealed = Vec::new();
    audit::write_sealed(&mut sealed, Digest([1; 32]), b"sealed");
    log.record(None, Happening::Recovered { key: client.gateway.key(), record, sealed: sealed.clone() }).unwrap();
    log.settled().await;
    let leaves = log.of_session(session, None).await.unwrap();
    let found: Vec<_> = leaves.iter().filter(|leaf| leaf.sealed == sealed).collect();
    assert_eq!(found.len(), 1, "{leaves:?}");
    let said_of = |session| {
        let said = found[0].records.iter().filter_map(|record| raw_texts::said_of(session, record));
        said.filter(|record| record.statement.is_some()).count()
    };
    assert_eq!((said_of(session), said_of(random::session_id().unwrap())), (1, 0));
}

/// A thousand changes of what is kept beside the entries for looking them up: `gov server --check` tells each, and of
/// which row it is.
#[test]
fn whatever_is_changed_beside_the_entries_is_told() {
    let place = folder("derived");
    let log = open(&place).unwrap();
    let client = Client::new(&log, "derived-client");
    for event in with_raw_texts(&client.grant, 20) {
        client.gateway.record(&event).unwrap();
        client.gateway.sign_now().unwrap();
    }
    client.gateway.close().unwrap();
    drop((client, log));
    let db = Connection::open(place.join("log.db")).unwrap();
    let told = || {
        let mut compared = Compared::default();
        compare(&db, &mut compared).unwrap();
        (compared.entries, compared.lies)
    };
    let (read, lies) = told();
    assert!(read > 20 && lies.is_empty(), "{read} entries: {lies:?}");
    let tables = [("envelopes", &["hash", "key", "first", "count", "digest"][..]), ("keys", &[]), ("nodes", &[])];
    let (mut mutator, mut noticed, mut example) = (Mutator::new(chance(11)), 0, String::new());
    for _ in 0..1000 {
        let change = mutator.change(&db, "main", &tables);
        let (_, lies) = told();
        assert!(!lies.is_empty(), "{change}");
        noticed += 1;
        example = format!("{change}: {}", lies[0]);
        mutator.undo(&db);
    }
    println!("mutations beside the log's entries: 1000 attempts, {noticed} noticed, {} missed", 1000 - noticed);
    println!("  for example {example}");
}

/// A thousand changes of the timeline's index, told the same way.
#[test]
fn whatever_is_changed_in_the_timeline_is_told() {
    let place = folder("timeline-rows");
    let log = Arc::new(open(&place).unwrap());
    let client = Client::new(&log, "timeline-rows-client");
    for (gateway, own) in with_raw_texts(&client.grant, 20).iter().zip(&statements(&client.grant, 20)) {
        client.gateway.record(gateway).unwrap();
        client.recorder.record(own).unwrap();
    }
    client.journal.wait_durable(client.recorder.close().unwrap()).unwrap();
    client.gateway.close().unwrap();
    let path = place.join("timeline.db");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        log.settled().await;
        for batch in client.envelopes().chunks(UPLOAD_MAX) {
            log.upload(ALICE, batch.to_vec(), 0).await.unwrap();
        }
        let timeline = Arc::new(Timeline::open(&path, &log).unwrap());
        let following = tokio::spawn(Arc::clone(&timeline).follow(Arc::clone(&log)));
        timeline.fresh(&log).await;
        following.abort();
        drop(following.await);
    });
    drop((client, log));
    let entries = Connection::open(place.join("log.db")).unwrap();
    let mut compared = Compared::default();
    timeline::compare(&path, &entries, &mut compared).unwrap();
    assert_eq!(compared.lies, Vec::<String>::new());
    assert!(compared.rows > 100, "{compared:?}");

    let mut db = timeline::beside(&path, "rw").unwrap();
    let transaction = db.transaction().unwrap();
    timeline::rebuild(&transaction, &entries).unwrap();
    transaction.commit().unwrap();
    let told = || {
        let mut compared = Compared::default();
        timeline::differences(&db, &mut compared).unwrap();
        compared.lies
    };
    assert_eq!(told(), Vec::<String>::new());
    let sessions = ["opened", "subject", "agent", "resource", "access", "purpose", "client_closed", "why"];
    let tables = [
        ("position", &["leaves", "last"][..]),
        ("entries", &[]),
        ("entries", &["session", "subject", "outcome", "rows", "objects", "tags", "text", "books"]),
        ("sessions", &sessions),
        ("signers", &[]),
        ("texts", &["digest", "text"]),
        ("touched", &[]),
        ("tagged", &[]),
        ("words", &[]),
    ];
    let (mut mutator, mut noticed, mut example) = (Mutator::new(chance(12)), 0, String::new());
    for _ in 0..1000 {
        let change = mutator.change(&db, "kept", &tables);
        let lies = told();
        assert!(!lies.is_empty(), "{change}");
        noticed += 1;
        example = format!("{change}: {}", lies[0]);
        mutator.undo(&db);
    }
    println!("mutations of the timeline: 1000 attempts, {noticed} noticed, {} missed", 1000 - noticed);
    println!("  for example {example}");
}

/// Changes one row, and takes the change back.
struct Mutator<F>(F);

impl<F: FnMut(usize) -> usize> Mutator<F> {
    fn new(random: F) -> Self {
        Self(random)
    }

    /// Changes one value of one row of these tables, of any column where none are named, or deletes a row, or has a word
    /// found that is not there. Says what it did.
    fn change(&mut self, db: &Connection, schema: &str, tables: &[(&str, &[&str])]) -> String {
        db.execute_batch("SAVEPOINT change").unwrap();
        loop {
            let (table, columns) = tables[(self.0)(tables.len())];
            let rows: i64 =
                db.query_row(&format!("SELECT count(*) FROM {schema}.{table}"), [], |row| row.get(0)).unwrap();
            if table == "words" {
                let sql = format!("INSERT INTO {schema}.words (rowid, text) VALUES (?1, 'payroll')");
                db.execute(&sql, [i64::try_from((self.0)(1 << 40)).unwrap()]).unwrap();
                return "a word more".to_owned();
            }
            if rows == 0 {
                continue;
            }
            // Which columns there are, of what type, and which of them say which row it is.
            let sql = "SELECT name, type, pk FROM pragma_table_info(?1, ?2)";
            let mut info = db.prepare(sql).unwrap();
            let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
            let known: Vec<(String, String, i64)> =
                info.query_map([table, schema], read).unwrap().map(Result::unwrap).collect();
            let keys: Vec<&String> = known.iter().filter(|(_, _, key)| *key > 0).map(|(name, ..)| name).collect();
            let names = keys.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
            let sql = format!("SELECT {names} FROM {schema}.{table} LIMIT 1 OFFSET ?1");
            let at = i64::try_from((self.0)(usize::try_from(rows).unwrap())).unwrap();
            let read = |row: &rusqlite::Row<'_>| (0..keys.len()).map(|at| row.get(at)).collect();
            let key: Vec<rusqlite::types::Value> = db.query_row(&sql, [at], read).unwrap();
            let places: Vec<String> = (1..=key.len()).map(|at| format!("?{at}")).collect();
            let which = format!("({names}) = ({})", places.join(", "));
            if (self.0)(8) == 0 {
                db.execute(&format!("DELETE FROM {schema}.{table} WHERE {which}"), rusqlite::params_from_iter(key))
                    .unwrap();
                return format!("a row of {table} less");
            }
            let (name, kind, _) = known[(self.0)(known.len())].clone();
            if !columns.is_empty() && !columns.contains(&name.as_str()) {
                continue;
            }
            let new = match kind.as_str() {
                "INTEGER" => format!("coalesce({name}, 0) + {}", 1 + (self.0)(1000)),
                "TEXT" => format!("coalesce({name}, '') || 'x'"),
                _ => format!("CAST(substr({name}, 1, 31) || x'{:02x}' AS BLOB)", (self.0)(256)),
            };
            let sql = format!("UPDATE {schema}.{table} SET {name} = {new} WHERE {which} AND {name} IS NOT {new}");
            // What the table's own rules forbid is no change.
            if db.execute(&sql, rusqlite::params_from_iter(key)).is_ok_and(|changed| changed == 1) {
                return format!("{table}.{name}");
            }
        }
    }

    fn undo(&mut self, db: &Connection) {
        db.execute_batch("ROLLBACK TO change; RELEASE change").unwrap();
    }
}

/// Whether an exported log verifies.
fn reads_well(folder: &Path, key: &NoteKey) -> bool {
    let Ok(note) = std::fs::read_to_string(folder.join("checkpoint")) else { return false };
    let Ok((_, checkpoint)) = audit::checkpoint(&note, key) else { return false };
    let mut walk = Walk::new(key.public, Head::empty());
    let (entries, hashes): (Vec<_>, Vec<_>) =
        Tile::all(0, checkpoint.head.size).into_iter().partition(|tile| tile.kind == TileKind::Entries);
    for tile in entries {
        let bytes = std::fs::read(folder.join(tile.path())).unwrap_or_default();
        audit::bundle_entries(&bytes).unwrap_or_default().into_iter().for_each(|entry| walk.entry(entry));
    }
    for tile in hashes {
        walk.tile(tile, &std::fs::read(folder.join(tile.path())).unwrap_or_default());
    }
    walk.raw_texts(&std::fs::read(folder.join(RAW_TEXTS)).unwrap_or_default());
    walk.finish(checkpoint.head).is_sound()
}
