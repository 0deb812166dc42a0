import { constants } from 'node:crypto';
import { ServerCredentials } from '@grpc/grpc-js';
import type { Certificates } from '../crypto/tls-certificates.ts';

/**
 * TLS for a grpc-js server; without certificates, no TLS. Renewed certificates apply to new connections. With
 * authorities for clients, a client without a valid certificate is disconnected or, where client certificates are
 * optional, anonymous.
 */
export function grpcCredentials(certificates?: Certificates, requireClientCertificates = true): ServerCredentials {
  if (!certificates) return ServerCredentials.createInsecure();
  return new RenewedCredentials(certificates, requireClientCertificates);
}

// ServerCredentials.createSsl cannot be renewed, and the experimental CertificateProvider of grpc-js supports neither
// handshakeTimeout nor secureOptions.
class RenewedCredentials extends ServerCredentials {
  constructor(certificates: Certificates, rejectUnauthorized: boolean) {
    // A ticket would resume a TLS session without verifying the client certificate again, which may have expired.
    const context = () => ({ ...certificates.mutualContext, secureOptions: constants.SSL_OP_NO_TICKET });
    super({ requestCert: certificates.asksClients, rejectUnauthorized, handshakeTimeout: 10_000 }, context());
    certificates.onRenewal(() => this.updateSecureContextOptions(context()));
  }

  _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}
