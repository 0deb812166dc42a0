import { constants } from 'node:crypto';
import { ServerCredentials } from '@grpc/grpc-js';
import type { Certificates } from '../crypto/tls-certificates.ts';

/**
 * TLS for a grpc-js server, renewed with the certificates; without them, none. Connections that are open stay. Where the
 * certificates name authorities for clients, a client without a good certificate is cut off, or served as anybody.
 */
export function grpcCredentials(certificates?: Certificates, requireClientCertificates = true): ServerCredentials {
  if (!certificates) return ServerCredentials.createInsecure();
  return new RenewedCredentials(certificates, requireClientCertificates);
}

// The library's own, ServerCredentials.createSsl, cannot be renewed, and its experimental CertificateProvider knows
// neither handshakeTimeout nor secureOptions.
class RenewedCredentials extends ServerCredentials {
  constructor(certificates: Certificates, rejectUnauthorized: boolean) {
    // A ticket would resume a session without looking again at a client certificate that has expired since.
    const context = () => ({ ...certificates.mutualContext, secureOptions: constants.SSL_OP_NO_TICKET });
    super({ requestCert: certificates.asksClients, rejectUnauthorized, handshakeTimeout: 10_000 }, context());
    certificates.onRenewal(() => this.updateSecureContextOptions(context()));
  }

  _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}
