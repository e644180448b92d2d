//! Load for a benchmark: requests on kept connections, as fast as possible or at a fixed rate.
//!
//! `load PORT PATH TOKEN CONNECTIONS SECONDS RATE` (rate 0: as fast as possible) prints one line: requests,
//! requests a second, and the 50th, 99th and 99.9th percentile of the time to a whole response, in microseconds. At a fixed rate a time
//! begins when the request was due, so a server that stalls cannot hide it.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep_until;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, path, token, connections, seconds, rate] = arguments.as_slice() else {
        panic!("PORT PATH TOKEN CONNECTIONS SECONDS RATE");
    };
    let port: u16 = port.parse().expect("a port");
    let connections: u32 = connections.parse().expect("a count");
    let rate: f64 = rate.parse().expect("a rate");
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n");
    let began = Instant::now();
    let until = began + Duration::from_secs_f64(seconds.parse().expect("seconds"));
    let interval = (rate > 0.0).then(|| Duration::from_secs_f64(f64::from(connections) / rate));
    let tasks: Vec<_> = (0..connections)
        .map(|number| {
            let first = interval
                .map(|each| began + each.mul_f64(f64::from(number) / f64::from(connections)));
            tokio::spawn(ask(port, request.clone(), first.zip(interval), until))
        })
        .collect();
    let mut times_us = Vec::new();
    for task in tasks {
        times_us.extend(task.await.expect("no panic"));
    }
    let took = began.elapsed().as_secs_f64();
    times_us.sort_unstable();
    let at = |share: f64| times_us[((times_us.len() - 1) as f64 * share) as usize];
    println!(
        "{} {:.0} {} {} {}",
        times_us.len(),
        times_us.len() as f64 / took,
        at(0.5),
        at(0.99),
        at(0.999)
    );
}

async fn ask(
    port: u16,
    request: String,
    mut pace: Option<(Instant, Duration)>,
    until: Instant,
) -> Vec<u64> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))
        .await
        .expect("it listens");
    stream.set_nodelay(true).expect("a socket");
    let (mut times_us, mut buffer) = (Vec::new(), Vec::with_capacity(1 << 20));
    loop {
        let start = match &mut pace {
            None => Instant::now(),
            Some((due, interval)) => {
                sleep_until((*due).into()).await;
                std::mem::replace(due, *due + *interval)
            }
        };
        if start >= until {
            return times_us;
        }
        stream
            .write_all(request.as_bytes())
            .await
            .expect("it takes requests");
        buffer.clear();
        while !is_whole(&buffer) {
            let read = stream.read_buf(&mut buffer).await.expect("it responds");
            assert!(read > 0, "the connection was closed");
        }
        assert!(
            buffer.starts_with(b"HTTP/1.1 200"),
            "{}",
            String::from_utf8_lossy(&buffer)
        );
        times_us.push(start.elapsed().as_micros() as u64);
    }
}

fn is_whole(buffer: &[u8]) -> bool {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let Ok(httparse::Status::Complete(head)) = response.parse(buffer) else {
        return false;
    };
    let is_length = |name: &str| name.eq_ignore_ascii_case("content-length");
    let length = response
        .headers
        .iter()
        .find(|header| is_length(header.name));
    let digits = std::str::from_utf8(length.expect("a length").value).expect("ASCII");
    buffer.len() >= head + digits.parse::<usize>().expect("a number")
}
