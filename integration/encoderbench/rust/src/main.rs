//! Encodes an Arrow IPC file as Parquet with the parquet crate's ArrowWriter, as
//! it comes, but for the codec. How it is asked and how it answers: contestant.go.

use std::error::Error;
use std::fs::File;
use std::io::{self, BufRead, Write};
use std::time::Instant;

use arrow_array::RecordBatch;
use arrow_ipc::reader::FileReader;
use cpu_time::ProcessTime;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

/// Counts the bytes, and passes them on.
struct Counted<W: Write> {
    to: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        let n = self.to.write(part)?;
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

fn encode<W: Write + Send>(
    batches: &[RecordBatch],
    codec: Compression,
    to: W,
) -> Result<u64, Box<dyn Error>> {
    let mut out = Counted { to, bytes: 0 };
    let properties = WriterProperties::builder().set_compression(codec).build();
    let mut writer = ArrowWriter::try_new(&mut out, batches[0].schema(), Some(properties))?;
    for batch in batches {
        writer.write(batch)?;
    }
    writer.close()?;
    out.flush()?;
    Ok(out.bytes)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, table, codec] = &arguments[..] else {
        return Err("usage: encoderbench TABLE.arrow snappy|zstd".into());
    };
    let codec = match codec.as_str() {
        "snappy" => Compression::SNAPPY,
        "zstd" => Compression::ZSTD(ZstdLevel::try_new(1)?),
        other => return Err(format!("unknown codec {other}").into()),
    };
    let batches = FileReader::try_new(File::open(table)?, None)?.collect::<Result<Vec<_>, _>>()?;
    if batches.is_empty() {
        return Err(format!("{table} has no rows").into());
    }

    let mut answers = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let line = line?;
        let (cpu, wall) = (ProcessTime::now(), Instant::now());
        let bytes = match line.strip_prefix("write ") {
            Some(path) => encode(&batches, codec, File::create(path)?)?,
            None => encode(&batches, codec, io::sink())?,
        };
        writeln!(
            answers,
            "{} {} {}",
            cpu.elapsed().as_secs_f64(),
            wall.elapsed().as_secs_f64(),
            bytes
        )?;
        answers.flush()?;
    }
    Ok(())
}
