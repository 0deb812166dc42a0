import { createPrivateKey, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';

const certificatePattern = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** The certificates of a file in which findCertificateFault finds no fault. */
export function certificatesIn(pem: string): X509Certificate[] {
  return (pem.match(certificatePattern) ?? []).map((block) => new X509Certificate(block));
}

/** The fault of a file of certificates, in words that quote nothing of it. Undefined when it is valid. */
export function findCertificateFault(pem: string): string | undefined {
  const blocks = pem.match(certificatePattern) ?? [];
  if (blocks.length !== pem.split('-----BEGIN CERTIFICATE-----').length - 1) return 'ends within a certificate';
  if (blocks.length === 0) return 'holds no certificate in PEM';
  const bad = blocks.findIndex((block) => !succeeds(() => new X509Certificate(block)));
  return bad < 0 ? undefined : `certificate ${bad + 1} of ${blocks.length} cannot be read`;
}

/** The fault of the file of a private key. */
export function findKeyFault(pem: string): string | undefined {
  if (pem.includes('ENCRYPTED')) return 'is encrypted, which is not supported';
  return succeeds(() => createPrivateKey(pem)) ? undefined : 'holds no private key in PEM';
}

/** The fault of a certificate and a key that are both valid but do not work together. */
export function findPairFault(cert: string, key: string): string | undefined {
  if (!new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))) return 'not the key of the certificate';
  // OpenSSL has further requirements, for example on the length of keys and on hashes.
  const thrown = failureOf(() => createSecureContext({ cert, key }));
  return thrown && `OpenSSL refuses it together with the certificate (${thrown.code})`;
}

function succeeds(act: () => unknown): boolean {
  return failureOf(act) === undefined;
}

function failureOf(act: () => unknown): NodeJS.ErrnoException | undefined {
  try {
    act();
    return undefined;
  } catch (thrown) {
    return thrown as NodeJS.ErrnoException;
  }
}
