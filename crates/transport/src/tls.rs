//! TLS with the certificate authorities of the system (or of SSL_CERT_FILE and SSL_CERT_DIR), or of a file.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// The configuration of all TLS connections. The error is a message for people.
pub fn config(authorities: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    let trusted = match authorities {
        Some(file) => from_file(file)?,
        None => from_system()?,
    };
    let (added, _) = roots.add_parsable_certificates(trusted);
    if added == 0 {
        return Err("no usable CA certificate was found".to_owned());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|why| why.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn from_file(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let describe = |why: rustls::pki_types::pem::Error| format!("{}: {why}", file.display());
    CertificateDer::pem_file_iter(file)
        .map_err(describe)?
        .collect::<Result<_, _>>()
        .map_err(describe)
}

fn from_system() -> Result<Vec<CertificateDer<'static>>, String> {
    let found = rustls_native_certs::load_native_certs();
    match found.errors.first() {
        Some(why) if found.certs.is_empty() => Err(why.to_string()),
        _ => Ok(found.certs),
    }
}
