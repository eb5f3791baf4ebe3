//! Runs S3 servers that we did not write on this machine.
//!
//! What must stay true: they listen on loopback only, keep their data under the build folder, and end with this
//! process. moto does not check signatures; SeaweedFS does.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use aws_credential_types::Credentials;
use aws_sdk_s3::{
    Client, Config,
    config::{BehaviorVersion, Region},
};
use landfall_local::{
    children::{Guard, Guarded},
    moto::Moto,
    places, python,
};
use serde_json::json;
use tokio::{net::TcpStream, process::Command};

const SEAWEEDFS: &str = include_str!("../python/requirements-seaweedfs.txt");
const ACCOUNT: &str = "111122223333";
/// The region of buckets that are created without a region.
const REGION: &str = "us-east-1";
const ACCESS_KEY: &str = "landfall";
const SECRET_KEY: &str = "not-a-secret";

/// How long a server may take until it answers.
const START_LIMIT: Duration = Duration::from_secs(300);

/// SeaweedFS listens for gRPC on each port plus this number.
const GRPC: u16 = 10_000;

static STARTED: AtomicU32 = AtomicU32::new(0);

/// A running server.
pub struct S3Server {
    pub name: &'static str,
    address: SocketAddr,
    folder: PathBuf,
    _process: Process,
    // Keep this field last: dropping it ends every process that still runs.
    _guard: Guard,
}

enum Process {
    Moto(#[expect(dead_code, reason = "it ends when dropped")] Moto),
    SeaweedFs(#[expect(dead_code, reason = "it ends when dropped")] Guarded),
}

impl S3Server {
    /// Starts moto.
    pub async fn moto() -> Result<Self> {
        let (guard, folder) = (Guard::start()?, folder("moto")?);
        let python = python::ensure(&places::workspace()?)?;
        // moto's interpreter is not used here.
        let nobody = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let moto = Moto::start(&python, &guard, nobody, ACCOUNT, REGION, &folder.join("log")).await?;
        Ok(Self {
            name: "moto",
            address: moto.address(),
            folder,
            _process: Process::Moto(moto),
            _guard: guard,
        })
    }

    /// Starts SeaweedFS, which checks signatures.
    pub async fn seaweedfs() -> Result<Self> {
        let (guard, folder) = (Guard::start()?, folder("seaweedfs")?);
        let purpose = "SeaweedFS, a second S3 server, for the tests of the ledger";
        let python = python::ensure_requirements(&places::workspace()?, "seaweedfs", SEAWEEDFS, purpose)?;
        let weed = python.python().with_file_name("weed");
        let identities = json!({"identities": [{
            "name": "landfall",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }]});
        fs::write(folder.join("identities.json"), identities.to_string()).context("cannot write the identities")?;
        // Another process may take a free port before the server does. Then other ports are tried.
        let mut last = None;
        for _ in 0..3 {
            match serve_seaweedfs(&guard, &weed, &folder).await {
                Ok((process, address)) => {
                    let server = Self {
                        name: "SeaweedFS",
                        address,
                        folder,
                        _process: Process::SeaweedFs(process),
                        _guard: guard,
                    };
                    server.wait_for_answer().await?;
                    return Ok(server);
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.context("defect: it was not started")?)
    }

    /// An open port does not mean yet that the server works, so this waits for an answer.
    async fn wait_for_answer(&self) -> Result<()> {
        let (client, begun) = (self.client(), Instant::now());
        while let Err(error) = client.list_buckets().send().await {
            if begun.elapsed() > START_LIMIT {
                return Err(error).with_context(|| format!("{} does not answer", self.name));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// A client with the server's own credentials.
    pub fn client(&self) -> Client {
        self.client_with(SECRET_KEY)
    }

    /// A client that signs with this secret key.
    pub fn client_with(&self, secret_key: &str) -> Client {
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .endpoint_url(format!("http://{}", self.address))
            .credentials_provider(Credentials::new(ACCESS_KEY, secret_key, None, None, "tests"))
            .force_path_style(true)
            .build();
        Client::from_conf(config)
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        // If this fails, the files stay under the build folder and are removed with it.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn folder(name: &str) -> Result<PathBuf> {
    let own = places::own_folder(&places::workspace()?)?;
    let number = STARTED.fetch_add(1, Ordering::Relaxed);
    let folder = own.join(format!("s3-servers/{name}-{}-{number}", process::id()));
    fs::create_dir_all(folder.join("data")).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder)
}

async fn serve_seaweedfs(guard: &Guard, weed: &Path, folder: &Path) -> Result<(Guarded, SocketAddr)> {
    let ports = free_ports()?;
    let [master, volume, filer, s3] = ports;
    let log = folder.join("log");
    let file = File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
    let again = file.try_clone().context("cannot open the log twice")?;
    let mut command = Command::new(weed);
    command
        .args(["server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"])
        .args([format!("-master.port={master}"), format!("-volume.port={volume}")])
        .args([format!("-filer.port={filer}"), format!("-s3.port={s3}")])
        .args(["-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.autoCreateBucket=false"])
        .args([
            "-master.telemetry=false",
            "-master.volumeSizeLimitMB=64",
            "-volume.max=8",
        ])
        .args(["-dir=data", "-s3.config=identities.json", "-s3.localSocket=s3.sock"])
        .current_dir(folder)
        .stdout(file)
        .stderr(again)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", folder)
        .env("TMPDIR", folder)
        .env("WEED_S3_SSE_KEY", "00".repeat(32));
    let mut process = guard.spawn(&mut command).context("cannot start SeaweedFS")?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, s3));
    let begun = Instant::now();
    loop {
        if TcpStream::connect(address).await.is_ok() {
            return Ok((process, address));
        }
        if let Some(status) = process.try_wait().context("cannot ask how SeaweedFS is")? {
            let said = fs::read_to_string(&log).unwrap_or_default();
            let last: Vec<&str> = said.lines().rev().take(5).collect();
            bail!("SeaweedFS ended at once ({status}): {}", last.join("\n"));
        }
        if begun.elapsed() > START_LIMIT {
            bail!(
                "SeaweedFS did not answer within {} s; see {}",
                START_LIMIT.as_secs(),
                log.display()
            );
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Free ports for which the port of SeaweedFS's gRPC is free, too.
fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let mut found = Vec::new();
    // Keeps the ports bound until all are found, so that none is found twice.
    let mut held = Vec::new();
    for _ in 0..500 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("there is no free port")?;
        let port = listener.local_addr().context("a port without an address")?.port();
        let partner = port
            .checked_add(GRPC)
            .and_then(|partner| TcpListener::bind((Ipv4Addr::LOCALHOST, partner)).ok());
        if let Some(partner) = partner {
            found.push(port);
            held.push(partner);
        }
        held.push(listener);
        if let Ok(ports) = <[u16; N]>::try_from(found.as_slice()) {
            return Ok(ports);
        }
    }
    bail!("found no {N} free ports for which the port {GRPC} above is free, too")
}
