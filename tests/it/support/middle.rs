//! Somebody between the gateway and a database: hands everything on, until a script says otherwise.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What is said in the database's place: for the number of a message on its connection, counted from zero, and its
/// bytes. Nothing said means that it is handed on.
pub(crate) type Script = Box<dyn Fn(usize, &[u8]) -> Option<Vec<u8>> + Send>;

/// The one in between.
pub(crate) struct Middle {
    pub(crate) port: u16,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    script: Option<Script>,
    /// Everything the gateway has said since the script was set.
    heard: Vec<u8>,
    /// The words from the gateway behind which the database is not heard any more, and whether they were said.
    last_words: Option<(&'static [u8], bool)>,
}

impl Middle {
    /// In front of the database at this port.
    pub(crate) fn before(database: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, shared) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(Shared::default())));
        let inner = Arc::clone(&shared);
        std::thread::spawn(move || {
            for gateway in listener.incoming().map_while(Result::ok) {
                let Ok(database) = TcpStream::connect(("127.0.0.1", database)) else { break };
                let answers = (database.try_clone().unwrap(), gateway.try_clone().unwrap());
                let (inner, also) = (Arc::clone(&inner), Arc::clone(&inner));
                std::thread::spawn(move || hand_on(answers.0, answers.1, &also));
                std::thread::spawn(move || listen(gateway, database, &inner));
            }
        });
        Self { port, shared }
    }

    /// From now on this happens.
    pub(crate) fn plays(&self, script: Script) {
        *self.shared.lock().unwrap() = Shared { script: Some(script), ..Shared::default() };
    }

    /// What the gateway says with these words in it reaches the database, and nothing that is answered comes back.
    pub(crate) fn silences_behind(&self, words: &'static [u8]) {
        *self.shared.lock().unwrap() = Shared { last_words: Some((words, false)), ..Shared::default() };
    }

    /// Whether the gateway has said these words under the script.
    pub(crate) fn has_heard(&self, words: &[u8]) -> bool {
        self.shared.lock().unwrap().heard.windows(words.len()).any(|window| window == words)
    }

    /// Whether they were said.
    pub(crate) fn is_silent(&self) -> bool {
        self.shared.lock().unwrap().last_words.is_some_and(|(_, said)| said)
    }

    /// From now on nothing does. What the gateway has said under the script.
    pub(crate) fn stops(&self) -> Vec<u8> {
        std::mem::take(&mut *self.shared.lock().unwrap()).heard
    }
}

fn hand_on(mut from: TcpStream, mut to: TcpStream, shared: &Mutex<Shared>) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(count) = from.read(&mut buffer) {
        if shared.lock().unwrap().last_words.is_some_and(|(_, said)| said) && count > 0 {
            continue;
        }
        if count == 0 || to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    // Either may have gone already.
    drop(to.shutdown(Shutdown::Both));
}

fn listen(mut gateway: TcpStream, mut database: TcpStream, shared: &Mutex<Shared>) {
    let mut buffer = [0; 16 * 1024];
    let mut number = 0;
    while let Ok(count) = gateway.read(&mut buffer) {
        let said = &buffer[..count];
        let answer = {
            let mut shared = shared.lock().unwrap();
            let answer = shared.script.as_ref().and_then(|script| script(number, said));
            if let Some((words, heard)) = &mut shared.last_words {
                *heard |= said.windows(words.len()).any(|window| window == *words);
            }
            if shared.script.is_some() {
                shared.heard.extend_from_slice(said);
            }
            answer
        };
        number += 1;
        let sent = match answer {
            Some(answer) => gateway.write_all(&answer),
            None => database.write_all(said),
        };
        if count == 0 || sent.is_err() {
            break;
        }
    }
    drop(database.shutdown(Shutdown::Both));
}
