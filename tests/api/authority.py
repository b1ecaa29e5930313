"""An authority of certificates of its own: for servers by their names, for workloads by their SPIFFE IDs."""

import ipaddress
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

HOUR = timedelta(hours=1)


def now():
    return datetime.now(UTC)


class Authority:
    """Makes certificates, as files in a folder of its own."""

    def __init__(self, folder, name="an authority"):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self._key = folder, ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        ca = x509.BasicConstraints(ca=True, path_length=0)
        self._cert = self._signed(
            self._name, self._key.public_key(), [(ca, True)], now() - HOUR, now() + HOUR
        )
        self.file = folder / "ca.pem"
        self.file.write_bytes(self._cert.public_bytes(serialization.Encoding.PEM))

    def issue(self, name, *, dns=(), addresses=("127.0.0.1",), uris=(), ended=False, password=None):
        """Two files: a certificate with its authority's behind it, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.DNSName(each) for each in dns]
        names += [x509.IPAddress(ipaddress.ip_address(each)) for each in addresses]
        names += [x509.UniformResourceIdentifier(each) for each in uris]
        extensions = [
            (x509.SubjectAlternativeName(names), False),
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                False,
            ),
        ]
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        until = now() - HOUR / 2 if ended else now() + HOUR / 2
        made = self._signed(subject, key.public_key(), extensions, now() - HOUR, until)
        certificate, secret = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM) + self.file.read_bytes())
        sealed = (
            serialization.NoEncryption()
            if password is None
            else serialization.BestAvailableEncryption(password)
        )
        secret.touch(mode=0o600)
        secret.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, sealed)
        )
        return certificate, secret

    def _signed(self, subject, public, extensions, start, until):
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(until)
        )
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        for extension, critical in [*extensions, (identifier, False)]:
            builder = builder.add_extension(extension, critical)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        return builder.sign(self._key, hashes.SHA256())
