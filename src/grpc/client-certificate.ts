import type { PeerCertificate } from 'node:tls';
import type { ServerUnaryCall } from '@grpc/grpc-js';
import { perConnection } from './connection.ts';

type Call = Pick<ServerUnaryCall<unknown, unknown>, 'getAuthContext'>;

/**
 * The names in the client certificate of a grpc-js call, verified against TLS_CLIENT_CA. Empty without a certificate.
 * They are its alternative names of the kinds DNS and URI. The common name of the subject counts only in a certificate
 * without alternative names: authorities verify it less strictly.
 */
export const clientNames = perConnection((call: Call): readonly string[] => {
  // grpc-js sets it on authorized connections only, also where client certificates are optional.
  const { sslPeerCertificate } = call.getAuthContext();
  return sslPeerCertificate ? namesIn(sslPeerCertificate) : [];
});

function namesIn({ subject, subjectaltname }: PeerCertificate): readonly string[] {
  if (!subjectaltname) return [subject?.CN ?? []].flat().filter((name) => !isUri(name));
  const names = splitAlternativeNames(subjectaltname);
  return names.filter(([kind, name]) => kind === (isUri(name) ? 'URI' : 'DNS')).map(([, name]) => name);
}

// A name of one kind must not pass for a name of the other.
function isUri(name: string): boolean {
  return name.includes('://');
}

/**
 * Node writes the names as one line, `DNS:a, URI:b`, and quotes a name with a comma or another delimiter as JSON.
 * Splitting at commas would accept a name inside a name (CVE-2021-44532). A line that does not parse to its end has no
 * names.
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
