import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { SecureContextOptions } from 'node:tls';
import type { Logger } from 'pino';
import { certificatesIn, findCertificateFault, findKeyFault, findPairFault } from './pem.ts';

/** Paths of PEM files. */
export interface CertificateFiles {
  /** The service's certificate, then its intermediates. */
  readonly cert: string;
  readonly key: string;
  /** The authorities whose client certificates are trusted. */
  readonly clientCa: string | undefined;
}

interface Pem {
  readonly cert: string;
  readonly key: string;
  readonly clientCa: string | undefined;
}

type Renewed = () => void;

const dayMs = 86_400_000;

/**
 * The TLS certificate of the service and the authorities it trusts, from files. Renewed files are used from the next
 * handshake on; open connections stay. Invalid files are logged, and the previous ones stay in use.
 */
export class Certificates {
  readonly #files: CertificateFiles;
  readonly #log: Logger;
  readonly #listeners: Renewed[] = [];
  #current: Pem;
  #seen: string | undefined;
  #reported: string | undefined;

  private constructor(files: CertificateFiles, log: Logger, current: Pem) {
    this.#files = files;
    this.#log = log;
    this.#current = current;
  }

  /** Throws when the files are invalid. An expired certificate only causes a warning, because it may be renewed soon. */
  static async open(files: CertificateFiles, log: Logger, now: Date): Promise<Certificates> {
    const pem = await readPem(files);
    const fault = findFault(pem);
    if (fault) throw new Error(`TLS does not work: ${fault}`);
    const certificates = new Certificates(files, log, pem);
    certificates.#announce('certificate loaded', now);
    return certificates;
  }

  /** For a server's secure context. */
  get context(): SecureContextOptions {
    return { cert: this.#current.cert, key: this.#current.key, minVersion: 'TLSv1.2' };
  }

  /** The same, with the authorities for client certificates if there are any. */
  get mutualContext(): SecureContextOptions {
    return { ...this.context, ca: this.#current.clientCa };
  }

  /** Whether clients are asked for certificates. */
  get asksClients(): boolean {
    return this.#files.clientCa !== undefined;
  }

  /** Days until the service's certificate or one of its intermediates expires; negative when one has expired. */
  daysLeft(now: Date): number {
    const ends = certificatesIn(this.#current.cert).map(({ validToDate }) => validToDate.getTime());
    return (Math.min(...ends) - now.getTime()) / dayMs;
  }

  /** `renewed` is called whenever the contexts have changed. */
  onRenewal(renewed: Renewed): void {
    this.#listeners.push(renewed);
  }

  /**
   * Checks the files by content: a Kubernetes secret is replaced by a symlink, and a copy may keep its times. New content is
   * used when the next check finds it unchanged, because certificate and key are often written one after the other.
   */
  async look(now: Date): Promise<void> {
    const found = await readPem(this.#files).catch((error: NodeJS.ErrnoException) => error);
    const text = found instanceof Error ? found.message : JSON.stringify(found);
    const isSteady = text === this.#seen;
    this.#seen = text;
    if (!isSteady) return;
    if (text === JSON.stringify(this.#current)) this.#reported = undefined;
    else if (found instanceof Error) this.#report(`cannot be read (${found.code})`);
    else this.#renew(found, now);
  }

  #renew(pem: Pem, now: Date): void {
    const fault = findFault(pem) ?? findTimeFault(pem, now);
    if (fault) {
      this.#report(fault);
      return;
    }
    this.#current = pem;
    this.#reported = undefined;
    for (const renewed of this.#listeners) renewed();
    this.#announce('certificate renewed', now);
  }

  #report(fault: string): void {
    if (fault !== this.#reported) this.#log.warn({ fault, files: this.#files }, 'new certificate not used');
    this.#reported = fault;
  }

  #announce(message: string, now: Date): void {
    const daysLeft = Math.floor(this.daysLeft(now));
    this.#log[daysLeft < 7 ? 'warn' : 'info']({ daysLeft }, message);
  }
}

async function readPem({ cert, key, clientCa }: CertificateFiles): Promise<Pem> {
  const read = (file: string) => readFile(file, 'utf8');
  const [certText, keyText, caText] = await Promise.all([read(cert), read(key), clientCa ? read(clientCa) : undefined]);
  return { cert: certText, key: keyText, clientCa: caText };
}

function findFault({ cert, key, clientCa }: Pem): string | undefined {
  const [certFault, keyFault] = [findCertificateFault(cert), findKeyFault(key)];
  const caFault = clientCa === undefined ? undefined : findCertificateFault(clientCa);
  if (certFault) return `TLS_CERT ${certFault}`;
  if (keyFault) return `TLS_KEY ${keyFault}`;
  if (caFault) return `TLS_CLIENT_CA ${caFault}`;
  const pairFault = findPairFault(cert, key);
  return pairFault && `TLS_KEY ${pairFault}`;
}

function findTimeFault({ cert }: Pem, now: Date): string | undefined {
  const { validFromDate, validToDate } = new X509Certificate(cert);
  if (now >= validToDate) return 'TLS_CERT has expired';
  return now < validFromDate ? 'TLS_CERT is not valid yet' : undefined;
}
