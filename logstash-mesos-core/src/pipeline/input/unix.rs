//! `unix`: connections over a socket in the file system, each of which is a stream of events.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::net::{UnixListener, UnixStream};
use tracing::warn;

use super::accept;
use super::common::{InputOptions, SharedField, host_field};
use super::making::Maker;
use super::net;
use super::room::Room;
use crate::event::{Event, Text, Value};
use crate::pipeline::plugin::settings::{Default as Preset, Kind, Setting, Settings};
use crate::pipeline::plugin::{
    Build, BuildContext, BuildError, Codec, Input, InputContext, InputError, MakeInput, PluginSpec,
};

pub(crate) static UNIX: PluginSpec = PluginSpec {
    name: "unix",
    doc: "Takes events from connections over a socket in the file system, by lines unless the codec says otherwise.",
    settings: &[
        Setting::new("codec", Kind::Codec, "How bytes become events.").default(Preset::String("line")),
        Setting::new(
            "path",
            Kind::String,
            "The socket to listen on, or to connect to. Its directory is made if it is missing.",
        )
        .required(),
        Setting::new("mode", Kind::OneOf(&["server", "client"]), "Whether to listen for connections or to make one.")
            .default(Preset::String("server")),
        Setting::new(
            "force_unlink",
            Kind::Boolean,
            "Takes the socket of a program that still listens. One that nobody listens on is taken anyway.",
        )
        .default(Preset::Bool(false)),
        Setting::new(
            "socket_mode",
            Kind::String,
            "Who may write to the socket, as `chmod` has it. Logstash leaves it to the umask, as a rule to root alone.",
        )
        .default(Preset::String("0666")),
        Setting::new("data_timeout", Kind::Number, "Ends a connection after so many idle seconds; -1 never does.")
            .default(Preset::Int(-1)),
        Setting::new(
            "socket_not_present_retry_interval_seconds",
            Kind::Number,
            "Seconds before a socket that is not there is tried again; for clients.",
        )
        .default(Preset::Int(5)),
    ],
    build: Build::Input(&MakeInput::new(build)),
};

/// Most bytes of a path that the system takes (`sun_path` of unix(7), without the zero at its end).
const MOST_PATH_BYTES: usize = 107;

fn build(settings: &Settings, cx: &BuildContext) -> Result<Box<dyn Input>, BuildError> {
    let path = settings.text("path").unwrap_or_default();
    if path.len() > MOST_PATH_BYTES {
        return Err(BuildError::setting("path", format!("`{path}` is longer than the system allows"))
            .remedy(format!("a socket has a path of at most {MOST_PATH_BYTES} bytes")));
    }
    let socket_mode = settings.text("socket_mode").unwrap_or_default();
    let permissions = u32::from_str_radix(&socket_mode, 8).ok().filter(|mode| *mode <= 0o777);
    let permissions = permissions.ok_or_else(|| {
        BuildError::setting("socket_mode", format!("`{socket_mode}` is no mode of a file"))
            .remedy("write it in octal: \"0660\" for the owner and the group")
    })?;
    let seconds = |name: &str| {
        settings
            .float(name)
            .filter(|seconds| *seconds > 0.0)
            .and_then(|s| Duration::try_from_secs_f64(s).ok())
    };
    let shown = Value::Text(Text::from(path.as_str()));
    Ok(Box::new(Unix {
        is_client: settings.text("mode").as_deref() == Some("client"),
        takes_over: settings.bool("force_unlink"),
        permissions,
        again: seconds("socket_not_present_retry_interval_seconds").unwrap_or(Duration::from_secs(5)),
        connections: Arc::new(Connections {
            path: PathBuf::from(path.as_str()),
            patience: seconds("data_timeout"),
            codec: Mutex::new(cx.stream_codec(settings, "codec")?),
            options: InputOptions::new(settings),
            fields: [host_field(cx), SharedField::new(cx.ecs.select(&["path"], &["file", "path"]), shown)],
        }),
    }))
}

struct Unix {
    is_client: bool,
    takes_over: bool,
    permissions: u32,
    again: Duration,
    connections: Arc<Connections>,
}

/// What every connection needs.
struct Connections {
    path: PathBuf,
    patience: Option<Duration>,
    // Only forked; behind a lock so that several tasks may look at it.
    codec: Mutex<Box<dyn Codec>>,
    options: InputOptions,
    fields: [SharedField; 2],
}

#[async_trait]
impl Input for Unix {
    async fn run(self: Box<Self>, cx: InputContext) -> Result<(), InputError> {
        let (room, cx) = (Room::new(&cx.memory), Arc::new(cx));
        // As the machine calls it, also for a process in a container.
        let path = &self.connections.path;
        let path = path.strip_prefix("/").map_or_else(|_| path.clone(), |rest| cx.host_root.join(rest));
        if self.is_client {
            self.connect(&path, &room, &cx).await;
        } else {
            self.serve(&path, room, &cx).await;
        }
        Ok(())
    }
}

/// Between connections to a server that ends them.
const CONNECT_AGAIN: Duration = Duration::from_secs(1);

impl Unix {
    async fn serve(&self, path: &Path, room: Room, cx: &Arc<InputContext>) {
        let address = format!("unix {}", path.display());
        // What lies there now may be another's.
        let serves = |socket: &Socket| socket.is_at_its_path() && allow(path, self.permissions).is_ok();
        let bind = || Socket::bind(path, self.takes_over, self.permissions);
        let Some(socket) = net::listening(&address, cx, serves, bind).await else { return };
        let accept = || async { socket.listener.accept().await.map(|(stream, _)| stream) };
        let read = |stream, cx: Arc<InputContext>| {
            let (connections, room) = (Arc::clone(&self.connections), room.clone());
            async move { connections.read(stream, &room, &cx).await }
        };
        accept::connections(&address, cx, accept, read).await;
    }

    async fn connect(&self, path: &Path, room: &Room, cx: &InputContext) {
        loop {
            let pause = match UnixStream::connect(path).await {
                Ok(stream) => {
                    self.connections.read(stream, room, cx).await;
                    CONNECT_AGAIN
                }
                Err(error) => {
                    warn!(%error, path = %path.display(), "Socket does not answer, trying until it does");
                    self.again
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = cx.shutdown.cancelled() => return,
            }
        }
    }
}

impl Connections {
    async fn read(self: &Arc<Self>, stream: UnixStream, room: &Room, cx: &InputContext) {
        let codec = self.codec.lock().unwrap_or_else(PoisonError::into_inner).fork();
        let connections = Arc::clone(self);
        let finish = Arc::new(move |event: &mut Event| {
            connections.options.apply(event);
            connections.fields.iter().for_each(|field| field.apply(event));
        });
        let maker = Maker { codec, finish, room: room.clone() };
        net::say_ended(net::pump(stream, &[], self.patience, maker, cx).await, &self.path.display());
    }
}

/// A socket that is listened on. Its file goes with it.
struct Socket {
    listener: UnixListener,
    path: PathBuf,
    /// Device and number of the file: what took its place meanwhile is another's.
    file: Option<(u64, u64)>,
}

impl Socket {
    /// Makes the socket at `path`, and its directory. The socket of a program that has gone is taken away; one that somebody
    /// listens on only if it shall be `taken_over`, and a file that is no socket never.
    async fn bind(path: &Path, taken_over: bool, permissions: u32) -> io::Result<Self> {
        let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
        if let Some(directory) = directory
            && !directory.exists()
        {
            // Whoever runs the applications has to come to the socket, whatever the umask.
            DirBuilder::new().mode(0o755).create(directory)?;
            allow(directory, 0o755)?;
        }
        let listener = match UnixListener::bind(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                if !fs::symlink_metadata(path)?.file_type().is_socket() {
                    return Err(io::Error::other(
                        "there is a file that is no socket: remove it, or listen elsewhere",
                    ));
                }
                if !taken_over && !is_left(path).await {
                    return Err(io::Error::other("another program, or another input, listens there"));
                }
                fs::remove_file(path)?;
                UnixListener::bind(path)?
            }
            bound => bound?,
        };
        allow(path, permissions)?;
        Ok(Self { listener, path: path.to_owned(), file: file(path) })
    }

    fn is_at_its_path(&self) -> bool {
        self.file.is_some() && file(&self.path) == self.file
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.is_at_its_path()
            && let Err(error) = fs::remove_file(&self.path)
        {
            warn!(%error, path = %self.path.display(), "Socket cannot be removed, the next start does it");
        }
    }
}

/// Whether nobody listens on a socket.
async fn is_left(path: &Path) -> bool {
    UnixStream::connect(path).await.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

fn allow(path: &Path, permissions: u32) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(permissions))
}

fn file(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::super::testing::{Running, refused};
    use super::*;
    use crate::pipeline::plugin::EcsCompatibility;

    fn start(settings: &str, ecs: EcsCompatibility) -> Running {
        Running::start(&UNIX, settings, ecs)
    }

    async fn connect(path: &Path) -> UnixStream {
        for _ in 0..2000 {
            if let Ok(stream) = UnixStream::connect(path).await {
                return stream;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("nobody listens on {}", path.display())
    }

    #[tokio::test]
    async fn anybody_writes_to_a_socket_that_is_there_while_the_input_is() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("made/log.sock");
        let settings = format!(r#"{{"path":"{}"}}"#, path.display());
        for (ecs, host, file) in [
            (EcsCompatibility::V8, "[host][name]", "[file][path]"),
            (EcsCompatibility::Disabled, "host", "path"),
        ] {
            let mut input = start(&settings, ecs);
            let mut stream = connect(&path).await;
            stream.write_all(b"one\ntw").await.unwrap();
            let event = input.next().await;
            assert_eq!((event.text("message"), event.text(file)), ("one".into(), path.display().to_string()));
            assert_eq!(event.text(host), super::super::common::host_name().to_string());
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o666, 0o755));
            stream.write_all(b"o").await.unwrap();
            drop(stream);
            assert_eq!(input.next().await.text("message"), "two");
            input.stop().await;
            assert!(!path.exists());
        }
    }

    #[tokio::test]
    async fn a_socket_that_was_left_is_taken_and_one_in_use_is_waited_for() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("log.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let settings = format!(r#"{{"path":"{}","socket_mode":"600"}}"#, path.display());
        let mut first = start(&settings, EcsCompatibility::V8);
        connect(&path).await.write_all(b"first\n").await.unwrap();
        assert_eq!(first.next().await.text("message"), "first");
        let before = file(&path);
        let error = Socket::bind(&path, false, 0o600).await.map(drop).unwrap_err();
        assert!(error.to_string().contains("listens there"), "{error}");
        assert_eq!(file(&path), before);

        let mut second = start(&settings, EcsCompatibility::V8);
        assert!(second.try_next().await.is_none());
        first.stop().await;
        connect(&path).await.write_all(b"second\n").await.unwrap();
        assert_eq!(second.next().await.text("message"), "second");

        // One that is taken over leaves the file of its successor alone.
        let forced = format!(r#"{{"path":"{}","force_unlink":true}}"#, path.display());
        let mut third = start(&forced, EcsCompatibility::V8);
        while file(&path).is_none() || fs::metadata(&path).unwrap().permissions().mode() & 0o777 != 0o666 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        second.stop().await;
        connect(&path).await.write_all(b"third\n").await.unwrap();
        assert_eq!(third.next().await.text("message"), "third");
        third.stop().await;
    }

    #[tokio::test]
    async fn the_next_run_of_a_pipeline_listens_on_the_same_socket_if_it_is_still_there() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("log.sock");
        let bus = crate::pipeline::Bus::default();
        let run = |mode: &str| {
            let settings = format!(r#"{{"path":"{}","socket_mode":"{mode}"}}"#, path.display());
            Running::run_with(bus.sockets("a"), &UNIX, &settings, EcsCompatibility::V8)
        };
        let has_mode = async |mode: u32| {
            while fs::metadata(&path).is_ok_and(|file| file.permissions().mode() & 0o777 != mode) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let first = run("0600");
        drop(connect(&path).await);
        let bound = file(&path).unwrap();
        let mut second = run("0660");
        has_mode(0o660).await;
        first.stop().await;
        assert_eq!(file(&path), Some(bound));
        UnixStream::connect(&path).await.unwrap().write_all(b"second\n").await.unwrap();
        assert_eq!(second.next().await.text("message"), "second");

        // Nobody comes to a socket whose file is gone.
        fs::remove_file(&path).unwrap();
        let mut third = run("0600");
        connect(&path).await.write_all(b"third\n").await.unwrap();
        assert_eq!(third.next().await.text("message"), "third");
        second.stop().await;
        assert!(path.exists());
        third.stop().await;
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_client_waits_for_its_server_and_idle_connections_end() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("log.sock");
        let common = format!(r#""path":"{}","codec":"json_lines""#, path.display());
        let mut client = start(
            &format!(r#"{{{common},"mode":"client","socket_not_present_retry_interval_seconds":0.01}}"#),
            EcsCompatibility::V8,
        );
        assert!(client.try_next().await.is_none());
        let server = UnixListener::bind(&path).unwrap();
        server.accept().await.unwrap().0.write_all(b"{\"a\":1}\n").await.unwrap();
        assert_eq!(client.next().await.json("a"), "1");
        drop(server);
        client.stop().await;

        let input = start(&format!(r#"{{{common},"data_timeout":0.1}}"#), EcsCompatibility::V8);
        let mut idle = connect(&path).await;
        let mut rest = Vec::new();
        let ended = tokio::io::AsyncReadExt::read_to_end(&mut idle, &mut rest);
        tokio::time::timeout(Duration::from_secs(20), ended).await.expect("it is ended").unwrap();
        input.stop().await;
    }

    #[tokio::test]
    async fn what_cannot_work_is_refused() {
        assert!(refused(&UNIX, &format!(r#"{{"path":"/{}"}}"#, "x".repeat(107))).contains("longer"));
        assert!(refused(&UNIX, r#"{"path":"/x","socket_mode":"rw"}"#).contains("`rw`"));
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("precious");
        fs::write(&path, "text").unwrap();
        let error = Socket::bind(&path, true, 0o600).await.map(drop).unwrap_err();
        assert!(error.to_string().contains("no socket"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"text");
    }
}
