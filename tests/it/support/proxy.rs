//! An HTTP proxy as companies have them: CONNECT and nothing else, to this machine whatever name it is asked for.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::spawn;
use std::time::Duration;

/// What it does with whoever comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Connects,
    Refuses,
    /// Wants this in `Proxy-Authorization`.
    Asks(&'static str),
}

/// A running proxy. Its threads end with the test process.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) port: u16,
    connects: Arc<AtomicUsize>,
    silent: Arc<AtomicBool>,
}

impl Proxy {
    pub(crate) fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy =
            Self { port: listener.local_addr().unwrap().port(), connects: Arc::default(), silent: Arc::default() };
        let (connects, silent) = (Arc::clone(&proxy.connects), Arc::clone(&proxy.silent));
        spawn(move || {
            for stream in listener.incoming() {
                let (connects, silent) = (Arc::clone(&connects), Arc::clone(&silent));
                spawn(move || serve(stream.unwrap(), manner, &connects, &silent));
            }
        });
        proxy
    }

    /// How often somebody was connected.
    pub(crate) fn connects(&self) -> usize {
        self.connects.load(Ordering::Relaxed)
    }

    /// Whether everything that goes through stops where it is: nothing is passed on, nothing is closed, and the system
    /// goes on acknowledging on both sides.
    pub(crate) fn be_silent(&self, silent: bool) {
        self.silent.store(silent, Ordering::Relaxed);
    }
}

fn serve(mut client: TcpStream, manner: Manner, connects: &AtomicUsize, silent: &Arc<AtomicBool>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match client.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let asked = head.strip_prefix("CONNECT ").and_then(|rest| rest.split_once(' '));
    let port: u16 = asked.unwrap().0.rsplit_once(':').unwrap().1.parse().unwrap();
    let is_let_in = match manner {
        Manner::Connects => Ok(()),
        Manner::Refuses => Err("403 Forbidden"),
        Manner::Asks(for_this) if head.contains(for_this) => Ok(()),
        Manner::Asks(_) => Err("407 Proxy Authentication Required"),
    };
    if let Err(status) = is_let_in {
        drop(write!(client, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"));
        return;
    }
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else {
        drop(write!(client, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"));
        return;
    };
    connects.fetch_add(1, Ordering::Relaxed);
    drop(write!(client, "HTTP/1.1 200 Connection established\r\n\r\n"));
    let (back, again) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let quiet = Arc::clone(silent);
    spawn(move || pass_on(client, server, &quiet));
    pass_on(back, again, silent);
}

/// Passes bytes on in one direction, up to the end; while it is to be silent, neither bytes nor the end.
fn pass_on(mut from: TcpStream, mut to: TcpStream, silent: &AtomicBool) {
    let mut bytes = [0; 16 * 1024];
    from.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    loop {
        if silent.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(50));
            continue;
        }
        match from.read(&mut bytes) {
            Ok(0) => break,
            Ok(count) if to.write_all(&bytes[..count]).is_ok() => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Ok(_) | Err(_) => break,
        }
    }
    drop(to.shutdown(Shutdown::Write));
}
