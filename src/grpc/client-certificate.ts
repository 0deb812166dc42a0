import type { PeerCertificate } from 'node:tls';
import type { ServerUnaryCall } from '@grpc/grpc-js';
import { perConnection } from './connection.ts';

type Call = Pick<ServerUnaryCall<unknown, unknown>, 'getAuthContext'>;

/**
 * The names in the certificate that the client of a grpc-js call has shown, verified against TLS_CLIENT_CA; none without
 * one. They are its alternative names of the kinds DNS and URI; only of a certificate without any alternative name it is
 * the common name of its subject, since those who issue certificates look less closely at that.
 */
export const clientNames = perConnection((call: Call): readonly string[] => {
  // Empty unless the connection is authorized, also where certificates are optional.
  const { sslPeerCertificate } = call.getAuthContext();
  return sslPeerCertificate ? namesIn(sslPeerCertificate) : [];
});

function namesIn({ subject, subjectaltname }: PeerCertificate): readonly string[] {
  if (!subjectaltname) return [subject?.CN ?? []].flat().filter((name) => !isUri(name));
  const names = splitAlternativeNames(subjectaltname);
  return names.filter(([kind, name]) => kind === (isUri(name) ? 'URI' : 'DNS')).map(([, name]) => name);
}

// So that a name of one kind is never taken for one of the other.
function isUri(name: string): boolean {
  return name.includes('://');
}

/**
 * Node writes them as one line, `DNS:a, URI:b`, and a name with a comma or anything else that could end it in quotes, as
 * JSON: who splits at commas believes a name in a name (CVE-2021-44532). What does not read to its end has no names.
 */
function splitAlternativeNames(line: string): (readonly [kind: string, name: string])[] {
  const entry = /([^:,"]+):("(?:[^"\\]|\\.)*"|[^,"]*)(?:, |$)/y;
  const names: (readonly [string, string])[] = [];
  while (entry.lastIndex < line.length) {
    const [, kind, text] = entry.exec(line) ?? [];
    if (kind === undefined || text === undefined) return [];
    names.push([kind, text.startsWith('"') ? (JSON.parse(text) as string) : text]);
  }
  return names;
}
