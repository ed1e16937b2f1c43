//! The application of tests/support/client_application.py on socketioxide:
//! `application PORT OPTIONS`. It prints a line as soon as it listens, and ends when its
//! stdin does.

use std::{
    collections::HashMap,
    fmt,
    io::Read,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, serve::ListenerExt};
use rmpv::Value;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{SeqAccess, Visitor},
    ser::SerializeTuple,
};
use socketioxide::{
    SocketIo, TransportType,
    extract::{AckSender, Data, SocketRef, TryData},
    handler::ConnectHandler,
};
use tokio::net::TcpSocket;

type Notes = Arc<Mutex<HashMap<String, Vec<Value>>>>;

/// Any number of arguments.
struct Args(Vec<Value>);

impl Serialize for Args {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.0.len())?;
        for value in &self.0 {
            tuple.serialize_element(value)?;
        }
        tuple.end()
    }
}

impl<'de> Deserialize<'de> for Args {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Args;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("arguments")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Args, A::Error> {
                let mut args = Vec::new();
                while let Some(value) = seq.next_element()? {
                    args.push(value);
                }
                Ok(Args(args))
            }
        }
        deserializer.deserialize_tuple(1, All)
    }
}

fn text(value: &str) -> Value {
    Value::from(value)
}

fn map<K: Into<String>>(entries: impl IntoIterator<Item = (K, Value)>) -> Value {
    let pair = |(key, value): (K, Value)| (Value::from(key.into()), value);
    Value::Map(entries.into_iter().map(pair).collect())
}

fn percent_decoded(coded: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = coded.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next().unwrap_or(b'0'), rest.next().unwrap_or(b'0')];
                u8::from_str_radix(&String::from_utf8_lossy(&digits), 16).unwrap_or(b'?')
            }
            b'+' => b' ',
            other => other,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn whoami(socket: &SocketRef, auth: &Value) -> Value {
    let request = socket.req_parts();
    let query: Vec<(String, Value)> = request
        .uri
        .query()
        .unwrap_or("")
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (percent_decoded(name), Value::from(percent_decoded(value)))
        })
        .collect();
    let transport = query.iter().find(|(name, _)| name == "transport");
    map([
        ("sid", Value::from(socket.id.to_string())),
        ("auth", auth.clone()),
        (
            "headers",
            map(request.headers.iter().map(|(name, value)| {
                (name.as_str(), text(value.to_str().unwrap_or("")))
            })),
        ),
        ("transport", transport.map_or(Value::Nil, |(_, value)| value.clone())),
        ("query", map(query)),
    ])
}

fn on_connect(socket: SocketRef, auth: Value, notes: Notes) {
    let who = whoami(&socket, &auth);
    socket.on("whoami", async move |ack: AckSender| {
        let _ = ack.send(&who);
    });
    socket.on("echo", async |socket: SocketRef, Data::<Args>(args), ack: AckSender| {
        let _ = socket.emit("echo", &args);
        let _ = ack.send(&args);
    });
    socket.on("ack", async |Data::<i64>(count), ack: AckSender| {
        let _ = ack.send(&Args((0..count).map(Value::from).collect()));
    });
    socket.on("binary", async |socket: SocketRef, Data::<Args>(args), ack: AckSender| {
        let data = &args.0[0];
        let parts = Value::Array(vec![data.clone(), data.clone()]);
        let _ = socket.emit("binary", &map([("data", data.clone()), ("parts", parts)]));
        let size = data.as_slice().map_or(0, <[u8]>::len);
        let all: Vec<u8> = (0..=255).collect();
        let _ = ack.send(&Args(vec![Value::from(size), Value::Binary(all)]));
    });
    socket.on("ask", async |socket: SocketRef, Data::<Args>(args)| {
        let Ok(asked) = socket.emit_with_ack::<_, Args>("question", &args) else {
            return;
        };
        if let Ok(Args(answer)) = asked.await {
            let _ = socket.emit("answered", &Args(vec![Value::Array(answer)]));
        }
    });
    socket.on("burst", async |socket: SocketRef, Data::<i64>(count), ack: AckSender| {
        for number in 0..count {
            let _ = socket.emit("item", &number);
        }
        let _ = ack.send(&count);
    });
    let kept = notes.clone();
    socket.on("note", async move |Data::<(String, Value)>((name, value)), ack: AckSender| {
        kept.lock().unwrap().entry(name).or_default().push(value.clone());
        let _ = ack.send(&Args(vec![value]));
    });
    socket.on("notes", async move |Data::<String>(name), ack: AckSender| {
        let values = notes.lock().unwrap().get(&name).cloned().unwrap_or_default();
        let _ = ack.send(&Args(vec![Value::Array(values)]));
    });
    socket.on("kick", async |socket: SocketRef| {
        let _ = socket.disconnect();
    });
    socket.on("silent", async || {});
    socket.on("later", async |Data::<f64>(seconds), ack: AckSender| {
        tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
        let _ = ack.send(&seconds);
    });
}

#[derive(Debug)]
struct Refused(&'static str);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.0)
    }
}

async fn check(TryData(auth): TryData<Value>) -> Result<(), Refused> {
    let auth = serde_json::to_value(auth.unwrap_or(Value::Nil)).unwrap();
    if auth["token"] == "secret" { Ok(()) } else { Err(Refused("unauthorized")) }
}

async fn refuse() -> Result<(), Refused> {
    Err(Refused("refused"))
}

fn build(options: &serde_json::Value) -> (socketioxide::layer::SocketIoLayer, SocketIo) {
    let mut builder = SocketIo::builder().max_buffer_size(100_000).max_payload(1_000_000);
    if let Some(path) = options["path"].as_str() {
        builder = builder.req_path(path.to_owned());
    }
    if let Some(seconds) = options["ping_interval"].as_f64() {
        builder = builder.ping_interval(Duration::from_secs_f64(seconds));
    }
    if let Some(seconds) = options["ping_timeout"].as_f64() {
        builder = builder.ping_timeout(Duration::from_secs_f64(seconds));
    }
    if let Some(bytes) = options["max_http_buffer_size"].as_u64() {
        builder = builder.max_payload(bytes).ws_max_message_size(bytes as usize);
    }
    if let Some([name]) = options["transports"].as_array().map(Vec::as_slice) {
        builder = builder.transports([match name.as_str() {
            Some("polling") => TransportType::Polling,
            _ => TransportType::Websocket,
        }]);
    }
    builder.build_layer()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let port: u16 = arguments[0].parse().expect("a port");
    let options = serde_json::from_str(&arguments[1]).expect("JSON");
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let (layer, io) = build(&options);
    let notes = Notes::default();
    for name in ["/", "/chat"] {
        let notes = notes.clone();
        io.ns(name, async move |socket: SocketRef, TryData(auth): TryData<Value>| {
            on_connect(socket, auth.unwrap_or(Value::Nil), notes.clone());
        });
    }
    let connect = async move |socket: SocketRef, TryData(auth): TryData<Value>| {
        on_connect(socket, auth.unwrap_or(Value::Nil), notes.clone());
    };
    io.ns("/auth", connect.with(check));
    io.ns("/refuse", (async || {}).with(refuse));
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(([127, 0, 0, 1], port).into())?;
    let listener = socket.listen(1024)?.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    println!("listening");
    axum::serve(listener, Router::new().layer(layer)).await
}
