//! The identity of a node: its certificate as a server and as a client, and the node that a certificate names.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig,
    SignatureScheme,
};

use crate::certificate::Certificate;

/// A chain of certificates and its key.
pub struct Credentials {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Credentials {
    /// Read both from PEM. Errors are texts for people.
    pub fn read(given: &Certificate) -> Result<Credentials, String> {
        let chain = certificates(&given.certificate, "the certificate")?;
        if chain.is_empty() {
            return Err("the file of the certificate has none".to_owned());
        }
        // The error's text should quote no key; it is not shown, to be safe.
        let key = PrivateKeyDer::from_pem_slice(given.key.as_bytes())
            .map_err(|_| "the file of the key has no private key that can be used".to_owned())?;
        Ok(Credentials { chain, key })
    }
}

fn certificates(pem: &str, what: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    found.map_err(|why| format!("{what} cannot be read: {why}"))
}

/// The authorities that all nodes of a cluster trust.
#[derive(Clone, Debug)]
pub struct Authority(Arc<RootCertStore>);

impl Authority {
    /// Read one or several from PEM. Errors are texts for people.
    pub fn read(pem: &str) -> Result<Authority, String> {
        let mut roots = RootCertStore::empty();
        for each in certificates(pem, "the authority")? {
            let added = roots.add(each);
            added.map_err(|why| format!("the authority cannot be used: {why}"))?;
        }
        match roots.is_empty() {
            true => Err("the authority has no certificate".to_owned()),
            false => Ok(Authority(Arc::new(roots))),
        }
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// How connections are accepted. With an authority, a client can prove by a certificate that it is a node.
pub fn server_config(
    credentials: Credentials,
    authority: Option<&Authority>,
) -> Result<ServerConfig, String> {
    let Credentials { chain, key } = credentials;
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|why| why.to_string())?;
    let config = match authority {
        None => config.with_no_client_auth(),
        Some(Authority(roots)) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider())
                .allow_unauthenticated()
                .build();
            config.with_client_cert_verifier(verifier.map_err(|why| why.to_string())?)
        }
    };
    let mut config = config
        .with_single_cert(chain, key)
        .map_err(|why| format!("the certificate and the key do not belong together: {why}"))?;
    if authority.is_some() {
        // A resumed session would prove the state at its beginning: the node may have been removed since.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// How to connect to a node: it must prove that it is `node`, whatever its address.
pub fn client_config(
    credentials: Credentials,
    authority: &Authority,
    node: &str,
) -> Result<ClientConfig, String> {
    let provider = provider();
    let verifier = Arc::new(NodeVerifier {
        node: node.to_owned(),
        authority: authority.clone(),
        provider: provider.clone(),
    });
    let Credentials { chain, key } = credentials;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|why| why.to_string())?
        .dangerous() // rustls calls every custom verifier this
        .with_custom_certificate_verifier(verifier)
        .with_client_auth_cert(chain, key)
        .map_err(|why| format!("the certificate and the key do not belong together: {why}"))?;
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Accepts the certificate of one node only: nodes are identified by id, not by address.
#[derive(Debug)]
struct NodeVerifier {
    node: String,
    authority: Authority,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for NodeVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let parsed = ParsedCertificate::try_from(end_entity)?;
        let Authority(roots) = &self.authority;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, roots, intermediates, now, algorithms)?;
        match node_of(end_entity).is_some_and(|named| named == self.node) {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(CertificateError::NotValidForName.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

/// The node that a certificate names: the only common name of its subject.
pub fn node_of(certificate: &CertificateDer<'_>) -> Option<String> {
    let certificate = webpki::EndEntityCert::try_from(certificate).ok()?;
    common_name(certificate.subject())
}

/// The common name of a subject without its outer tag: sets of attributes, each an object id and a text (RFC 5280,
/// 4.1.2.4). None unless there is one.
fn common_name(mut subject: &[u8]) -> Option<String> {
    const SET: u8 = 0x31;
    const SEQUENCE: u8 = 0x30;
    const OBJECT_ID: u8 = 0x06;
    const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
    const TEXTS: [u8; 2] = [0x0c, 0x13]; // UTF8String, PrintableString
    let mut found = None;
    while !subject.is_empty() {
        let (set, rest) = element(subject, SET)?;
        let (attribute, more) = element(set, SEQUENCE)?;
        let (id, value) = element(attribute, OBJECT_ID)?;
        if !more.is_empty() {
            return None;
        }
        if id == COMMON_NAME {
            let tag = *value.first().filter(|tag| TEXTS.contains(tag))?;
            let (text, more) = element(value, tag)?;
            let text = std::str::from_utf8(text).ok()?;
            if found.is_some() || !more.is_empty() {
                return None;
            }
            found = Some(text.to_owned());
        }
        subject = rest;
    }
    found
}

/// The content of the first element, which must have this tag, and what follows it. Lengths below 256 suffice: names
/// are short.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    const ONE_BYTE_FOLLOWS: u8 = 0x81;
    let (first, rest) = bytes.split_first()?;
    let (length, rest) = rest.split_first()?;
    let (length, rest) = match *length {
        length if length < 0x80 => (length, rest),
        ONE_BYTE_FOLLOWS => rest.split_first().map(|(length, rest)| (*length, rest))?,
        _ => return None,
    };
    (*first == tag).then_some(())?;
    rest.split_at_checked(usize::from(length))
}

#[cfg(test)]
pub mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

    use super::*;

    /// An authority that issues certificates of nodes.
    pub struct Issuer(CertifiedIssuer<'static, KeyPair>);

    impl Issuer {
        pub fn new() -> Issuer {
            let mut wanted = CertificateParams::default();
            wanted.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let key = KeyPair::generate().expect("a key");
            Issuer(CertifiedIssuer::self_signed(wanted, key).expect("a certificate"))
        }

        pub fn authority(&self) -> String {
            self.0.pem()
        }

        pub fn issue(&self, node: &str) -> Certificate {
            let mut wanted = CertificateParams::new(["127.0.0.1".to_owned()]).expect("an address");
            wanted.distinguished_name = rcgen::DistinguishedName::new();
            wanted.distinguished_name.push(DnType::CommonName, node);
            let key = KeyPair::generate().expect("a key");
            let made = wanted.signed_by(&key, &self.0).expect("a certificate");
            Certificate {
                certificate: made.pem(),
                key: key.serialize_pem(),
            }
        }
    }

    #[test]
    fn a_certificate_names_its_node() {
        let issuer = Issuer::new();
        for node in ["node-1", "a", &"x".repeat(100)] {
            let made = issuer.issue(node);
            let der = CertificateDer::from_pem_slice(made.certificate.as_bytes()).expect("PEM");
            assert_eq!(node_of(&der).as_deref(), Some(node));
        }
    }

    #[test]
    fn a_subject_of_two_names_or_none_names_no_node() {
        let name = |text: &[u8]| {
            let value = [&[0x0c, text.len() as u8], text].concat();
            let inner = [&[0x06, 3, 0x55, 0x04, 0x03][..], &value].concat();
            let attribute = [&[0x30, inner.len() as u8], &inner[..]].concat();
            [&[0x31, attribute.len() as u8], &attribute[..]].concat()
        };
        assert_eq!(common_name(&name(b"one")).as_deref(), Some("one"));
        assert_eq!(common_name(&[name(b"one"), name(b"two")].concat()), None);
        assert_eq!(common_name(&[]), None);
        let whole = name(b"one");
        for end in 1..whole.len() {
            assert_eq!(common_name(&whole[..end]), None, "{end}");
        }
    }
}
