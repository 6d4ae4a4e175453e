//! Makes the first inputs of the fuzz targets from the protocol vectors: `seed DIR TARGET…`.
//!
//! Every target gets the octets of every vector, one file each; a target that cannot read an input
//! drops it soon. A target with a folder in `seeds` gets what is there as well.

use std::path::PathBuf;
use std::{env, error, fs};

fn main() -> Result<(), Box<dyn error::Error>> {
    let mut arguments = env::args().skip(1);
    let corpus = PathBuf::from(arguments.next().ok_or("usage: seed DIR TARGET…")?);
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = fs::read(root.join("test-data/wire/handle-vectors.json"))?;
    let vectors: Vec<serde_json::Value> = serde_json::from_slice(&text)?;
    for target in arguments {
        let dir = corpus.join(&target);
        fs::create_dir_all(&dir)?;
        for vector in &vectors {
            let name = vector["name"].as_str().ok_or("a vector has no name")?;
            let hex = vector["hex"].as_str().ok_or("a vector has no octets")?;
            let octets: Result<Vec<u8>, _> = (0..hex.len() / 2)
                .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16))
                .collect();
            fs::write(dir.join(name), octets?)?;
        }
        let own = root.join("fuzz/seeds").join(&target);
        if !own.exists() {
            continue;
        }
        for seed in fs::read_dir(own)? {
            let seed = seed?;
            fs::copy(seed.path(), dir.join(seed.file_name()))?;
        }
    }
    Ok(())
}
