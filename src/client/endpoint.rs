//! The local endpoint of one resource: its port, its socket, and the private folder with what tools need to log in.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ring::digest::{SHA256, digest};
use rustls::ServerConfig;
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinSet;

use super::proxy::{Dial, Door, Endpoint};
use crate::domain::{Failure, Kind, ResourceName, Secret};
use crate::runtime::{env, files, net, ports, random, tls};
use crate::wire::postgres::{self, ChannelBinding};

/// Where the ports of resources begin, and how many there are. Below the range from which systems take ports for
/// outgoing connections (32768 on Linux), above what common services use.
const PORTS: std::ops::Range<u16> = 21_000..31_000;

/// Longest path of a Unix socket: macOS has room for 104 bytes with the zero (`sys/un.h`), Linux for 108.
const SOCKET_PATH_MAX: usize = 103;

/// Where a caller finds the endpoint, and what lets it in.
#[derive(Debug)]
pub(crate) struct Local {
    pub(crate) address: SocketAddr,
    pub(crate) user: String,
    pub(crate) password: Secret<String>,
    pub(crate) database: String,
    /// The socket's folder, as libpq wants it for a host. Whoever reaches it needs no password.
    pub(crate) socket_folder: PathBuf,
    /// Who vouches for the port's certificate, where TLS is offered.
    pub(crate) authority: Option<PathBuf>,
    /// The private folder of this endpoint; removed with it.
    folder: PathBuf,
    listeners: JoinSet<()>,
}

/// Whether the port offers TLS. On one machine it protects from nobody; some tools insist on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encryption {
    None,
    Offered,
}

/// Which TCP port to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    /// The resource's own, the same every time.
    Stable,
    /// The resource's own if it is free, any other if not: for tools that are told the port.
    Any,
    /// This one.
    Given(u16),
}

/// A port and a socket that are ours, on which nobody is served yet.
#[derive(Debug)]
pub(crate) struct Bound {
    resource: ResourceName,
    address: SocketAddr,
    folder: PathBuf,
    tcp: TcpListener,
    unix: UnixListener,
}

impl Bound {
    /// Takes the port and the socket, before a session is asked for and long before anything is announced.
    pub(crate) async fn open(server: &str, resource: &ResourceName, port: Port) -> Result<Self, Failure> {
        let wanted = match port {
            Port::Given(port) => port,
            Port::Stable | Port::Any => stable_port(server, resource),
        };
        let tcp = match (net::listen_loopback(wanted).await, port) {
            (Ok(listener), _) => listener,
            (Err(_), Port::Any) => net::listen_loopback(0).await.map_err(|error| taken(0, &error))?,
            (Err(error), Port::Stable | Port::Given(_)) => return Err(taken(wanted, &error)),
        };
        let address = tcp.local_addr().map_err(|error| taken(wanted, &error))?;

        // One folder per endpoint: two of the same resource do not meet, and one that is gone leaves nothing open.
        let folder = env::runtime_dir()?.join(format!("{resource}.{}", address.port()));
        let broken = |error: io::Error| unusable(&folder, &error);
        remove_old(&folder).map_err(broken)?;
        files::create_private_dir(&folder).map_err(broken)?;
        let socket = folder.join(format!(".s.PGSQL.{}", address.port()));
        if socket.as_os_str().len() > SOCKET_PATH_MAX {
            return Err(unusable(&folder, &io::Error::other("its path is too long for a socket"))
                .hint("set XDG_RUNTIME_DIR to a folder with a shorter path"));
        }
        let unix = UnixListener::bind(&socket).map_err(broken)?;
        Ok(Self { resource: resource.clone(), address, folder, tcp, unix })
    }

    /// Serves whoever knows the user and password made here, or is the same user of this machine; over TLS those who ask
    /// for it, where it is offered.
    pub(crate) fn serve<D: Dial>(
        self,
        database: &str,
        encryption: Encryption,
        dial: D,
    ) -> Result<(Local, Arc<Endpoint<D>>), Failure> {
        let user = format!("gov_{}", short_word()?);
        let password = random::password()?;
        let databases = vec![database.to_owned(), self.resource.to_string()];
        let (tls, authority) = match encryption {
            Encryption::None => (None, None),
            Encryption::Offered => {
                let (tls, authority) = encrypted(&self.folder)?;
                (Some(tls), Some(authority))
            }
        };
        let endpoint = Endpoint::new(Door::new(user.clone(), &password, databases, tls)?, dial)?;
        let mut listeners = JoinSet::new();
        listeners.spawn(Arc::clone(&endpoint).listen_tcp(self.tcp));
        listeners.spawn(Arc::clone(&endpoint).listen_unix(self.unix));
        let local = Local {
            address: self.address,
            user,
            password,
            database: database.to_owned(),
            socket_folder: self.folder.clone(),
            authority,
            folder: self.folder,
            listeners,
        };
        Ok((local, endpoint))
    }
}

impl Local {
    /// `postgresql://…` over TCP. Holds the password: for those who asked for it.
    pub(crate) fn url(&self) -> String {
        format!(
            "postgresql://{}:{}@{}/{}?{}",
            self.user,
            self.password.expose(),
            self.address,
            percent_encoded(&self.database),
            self.encryption()
        )
    }

    /// How to ask for encryption, as parameters of a URL.
    fn encryption(&self) -> String {
        match &self.authority {
            None => "sslmode=disable".to_owned(),
            Some(path) => format!("sslmode=verify-full&sslrootcert={}", percent_encoded(&path.display().to_string())),
        }
    }

    /// The same for Java; user and password stand beside it there.
    pub(crate) fn jdbc_url(&self) -> String {
        format!(
            "jdbc:postgresql://{}/{}?user={}&password={}&{}",
            self.address,
            percent_encoded(&self.database),
            self.user,
            self.password.expose(),
            self.encryption()
        )
    }

    /// `postgresql://…` over the socket: needs no password.
    pub(crate) fn socket_url(&self) -> String {
        format!(
            "postgresql:///{}?host={}&port={}&user={}",
            percent_encoded(&self.database),
            percent_encoded(&self.socket_folder.display().to_string()),
            self.address.port(),
            self.user
        )
    }

    /// Writes the password file that `PGPASSFILE` names (libpq, node-postgres and asyncpg read it), and says where.
    pub(crate) fn write_pass_file(&self) -> Result<PathBuf, Failure> {
        let path = self.folder.join("pgpass");
        let line =
            format!("{}:{}:*:{}:{}\n", self.address.ip(), self.address.port(), self.user, self.password.expose());
        files::write_private(&path, line.as_bytes()).map_err(|error| unusable(&path, &error))?;
        Ok(path)
    }

    /// Stops listening and removes the folder. Connections that are open go on.
    pub(crate) fn close(mut self) {
        self.listeners.abort_all();
        // What cannot be removed now is removed by whoever takes the same port next.
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

/// A certificate for the port, made for this endpoint and gone with it: TLS as it accepts it and logins are bound to it,
/// and where its authority was written.
fn encrypted(folder: &Path) -> Result<((Arc<ServerConfig>, ChannelBinding), PathBuf), Failure> {
    let (authority, identity) = tls::loopback_certificate()?;
    let path = folder.join("root.crt");
    files::write_private(&path, authority.as_bytes()).map_err(|error| unusable(&path, &error))?;
    let hash = postgres::certificate_binding(&tls::leaf(&identity)?);
    let binding = hash.map_or(ChannelBinding::None, ChannelBinding::EndPoint);
    // libpq 17 names its protocol; older clients name none.
    Ok(((tls::server(&identity, &["postgresql"])?, binding), path))
}

/// A few letters that make a user name of our own: not a secret, just not anybody's real name.
fn short_word() -> Result<String, Failure> {
    const LETTERS: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";
    let bytes = random::bytes::<6>()?;
    let letter = |byte: u8| LETTERS.get(usize::from(byte) % LETTERS.len()).copied().unwrap_or(b'x');
    Ok(bytes.into_iter().map(|byte| char::from(letter(byte))).collect())
}

/// The port a resource of a server always has on this machine, unless somebody else has it.
fn stable_port(server: &str, resource: &ResourceName) -> u16 {
    let hash = digest(&SHA256, format!("{server}\n{resource}").as_bytes());
    let number = hash.as_ref().iter().take(4).fold(0u32, |sum, byte| (sum << 8) | u32::from(*byte));
    let span = u32::from(PORTS.end - PORTS.start);
    PORTS.start + u16::try_from(number % span).unwrap_or(0)
}

fn taken(port: u16, error: &io::Error) -> Failure {
    let failure = Failure::new(Kind::Usage, format!("cannot listen on 127.0.0.1:{port}"));
    match (error.kind(), ports::holder(port)) {
        (io::ErrorKind::AddrInUse, Some(holder)) => {
            let again =
                if holder.starts_with("gov ") { "that session is open already: use it, or choose" } else { "choose" };
            failure.detail(format!("The port is taken by {holder}.")).hint(format!("{again} another port with --port"))
        }
        (io::ErrorKind::AddrInUse, None) => {
            failure.detail("The port is taken by a program of another user.").hint("choose another port with --port")
        }
        (_, _) => failure.detail(format!("{error}.")).hint("choose another port with --port"),
    }
}

fn unusable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Kind::Usage, format!("`{}` cannot be used", path.display())).detail(format!("{error}."))
}

/// A folder left by a process that was killed. Nobody listens there any more: the port was free.
fn remove_old(folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// RFC 3986 section 2.1, for everything that is not unreserved.
fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_keeps_its_port() {
        let port = |server, name: &str| stable_port(server, &name.parse().unwrap());
        assert_eq!(port("https://a", "prod-db"), port("https://a", "prod-db"));
        assert_ne!(port("https://a", "prod-db"), port("https://b", "prod-db"));
        assert_ne!(port("https://a", "prod-db"), port("https://a", "staging-db"));
        for index in 0..1000 {
            assert!(PORTS.contains(&port("https://a", &format!("db-{index}"))));
        }
    }

    #[test]
    fn names_survive_a_url() {
        assert_eq!(percent_encoded("a b/ü?"), "a%20b%2F%C3%BC%3F");
    }
}
