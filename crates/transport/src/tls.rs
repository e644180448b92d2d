//! TLS with the certificate authorities of the system (or of SSL_CERT_FILE and SSL_CERT_DIR), of a file, or with one
//! pinned certificate.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WantsClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ConfigBuilder, DigitallySignedStruct, OtherError,
    RootCertStore, SignatureScheme,
};

/// SHA-256 of a certificate.
pub type Fingerprint = [u8; 32];

/// The configuration of all TLS connections. The error is a message for people.
///
/// `pinned`: the only certificate to trust, whatever its name, issuer and dates; None: those of the authorities. `own`:
/// PEM files of the certificate and key with which this side proves itself, if the server asks.
pub fn config(
    authorities: Option<&Path>,
    pinned: Option<Fingerprint>,
    own: Option<&(PathBuf, PathBuf)>,
) -> Result<Arc<ClientConfig>, String> {
    let Some(pinned) = pinned else {
        return of_authorities(authorities, own);
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Pinned {
        fingerprint: pinned,
        provider: provider.clone(),
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|why| why.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    proving(config, own)
}

fn proving(
    config: ConfigBuilder<ClientConfig, WantsClientCert>,
    own: Option<&(PathBuf, PathBuf)>,
) -> Result<Arc<ClientConfig>, String> {
    let Some((certificate, key)) = own else {
        return Ok(Arc::new(config.with_no_client_auth()));
    };
    let describe = |why: rustls::pki_types::pem::Error| format!("{}: {why}", key.display());
    let private = PrivateKeyDer::from_pem_file(key).map_err(describe)?;
    let config = config
        .with_client_auth_cert(from_file(certificate)?, private)
        .map_err(|why| format!("{}: {why}", certificate.display()))?;
    Ok(Arc::new(config))
}

/// Trusts one certificate.
#[derive(Debug)]
struct Pinned {
    fingerprint: Fingerprint,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let found = fingerprint(end_entity);
        if found == Some(self.fingerprint) {
            return Ok(ServerCertVerified::assertion());
        }
        let found = found.unwrap_or_default();
        let why: Box<dyn Error + Send + Sync> = format!(
            "the certificate has the fingerprint {}, not {}",
            shown(&found),
            shown(&self.fingerprint)
        )
        .into();
        Err(CertificateError::Other(OtherError(why.into())).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

fn fingerprint(certificate: &[u8]) -> Option<Fingerprint> {
    let suite = TLS13_AES_128_GCM_SHA256.tls13()?;
    let hash = suite.common.hash_provider.hash(certificate);
    hash.as_ref().try_into().ok()
}

fn shown(fingerprint: &Fingerprint) -> String {
    let pairs = fingerprint.iter().map(|byte| format!("{byte:02X}"));
    pairs.collect::<Vec<_>>().join(":")
}

fn of_authorities(
    authorities: Option<&Path>,
    own: Option<&(PathBuf, PathBuf)>,
) -> Result<Arc<ClientConfig>, String> {
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
        .with_root_certificates(roots);
    proving(config, own)
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
