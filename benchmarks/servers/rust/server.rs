//! The benchmark's application on socketioxide, axum and tokio.

use std::time::Duration;

use axum::{Router, serve::ListenerExt};
use bytes::Bytes;
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use socketioxide::{
    SocketIo,
    extract::{AckSender, Data, SocketRef},
};
use tokio::net::TcpSocket;

const NAMESPACES: usize = 100;
const BACKLOG: u32 = 2048;

#[derive(Deserialize, Serialize)]
struct Move {
    id: String,
    tags: Vec<String>,
    x: f64,
}

async fn on_connect(socket: SocketRef) {
    socket.on("echo", async |socket: SocketRef, Data::<String>(data)| {
        socket.emit("echo", &data).unwrap();
    });
    socket.on("ack", async |Data::<String>(data), ack: AckSender| {
        ack.send(&data).unwrap();
    });
    socket.on("validated", async |Data::<Move>(data), ack: AckSender| {
        ack.send(&data).unwrap();
    });
    socket.on(
        "gather",
        async |io: SocketIo, socket: SocketRef, Data::<String>(data), ack: AckSender| {
            let answers = io
                .of(socket.ns())
                .unwrap()
                .timeout(Duration::from_secs(5))
                .emit_with_ack::<_, u32>("q", &data)
                .await
                .unwrap();
            ack.send(&answers.count().await).unwrap();
        },
    );
    socket.on(
        "echo_bin",
        async |socket: SocketRef, Data::<Bytes>(data)| {
            socket.emit("echo_bin", &data).unwrap();
        },
    );
    socket.on(
        "broadcast",
        async |io: SocketIo, socket: SocketRef, Data::<String>(data)| {
            io.of(socket.ns()).unwrap().emit("b", &data).await.unwrap();
        },
    );
    socket.on("room", async |socket: SocketRef, Data::<String>(data)| {
        socket.within("r0").emit("b", &data).await.unwrap();
    });
    socket.on(
        "join",
        async |socket: SocketRef, Data::<usize>(count), ack: AckSender| {
            socket.join((0..count).map(|i| format!("r{i}")).collect::<Vec<_>>());
            ack.send(&count).unwrap();
        },
    );
}

async fn serve(port: u16) -> std::io::Result<()> {
    // The defaults, but for what 256 KiB and a burst of acknowledged messages need.
    let (layer, io) = SocketIo::builder()
        .max_payload(1 << 20)
        .max_buffer_size(1024)
        .ping_interval(Duration::from_secs(25))
        .build_layer();
    io.ns("/", on_connect);
    for i in 1..NAMESPACES {
        io.ns(format!("/n{i}"), on_connect);
    }
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(([127, 0, 0, 1], port).into())?;
    let listener = socket.listen(BACKLOG)?.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    println!("listening on {port} pid {}", std::process::id());
    axum::serve(listener, Router::new().layer(layer)).await
}

/// The compiler's, and those that Cargo.toml pins.
fn versions() -> serde_json::Value {
    let pinned = include_str!("Cargo.toml").lines().filter_map(|line| {
        let (name, rest) = line.split_once(" = ")?;
        let version = rest.split_once("\"=")?.1.split('"').next()?;
        Some((name, version))
    });
    [("rustc", env!("RUSTC_VERSION"))]
        .into_iter()
        .chain(pinned)
        .collect()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let mut port = 5000;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--port" => port = arguments.next().unwrap().parse().unwrap(),
            "--versions" => {
                println!("{}", versions());
                return Ok(());
            }
            _ => panic!("{argument}: --port or --versions expected"),
        }
    }
    serve(port).await
}
