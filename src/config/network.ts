import { networkInterfaces } from 'node:os';
import {
  choice,
  ipAddress,
  onOff,
  origins,
  pageUrl,
  pemFile,
  portOrOff,
  publicUrl,
  urlPatterns,
  wholeNumber,
  yesNo,
} from './parsers.ts';
import { serviceCertificates } from './service-certificates.ts';
import type { Settings } from './setting.ts';

export const network = {
  GRPC_PORT: {
    sentence: 'Port of the gRPC server. 0 takes any free port.',
    reads: wholeNumber(0, 65_535),
    default: '50051',
    example: '50051',
  },
  HTTP_PORT: {
    sentence: 'Port of the HTTP server. 0 takes any free port. Must differ from GRPC_PORT.',
    reads: wholeNumber(0, 65_535),
    default: '8080',
    example: '8080',
  },
  ADMIN_PORT: {
    sentence:
      'Port of the metrics and probes for operators. 0 takes any free port, off opens none. Must differ from the other two.',
    reads: portOrOff,
    default: '9090',
    example: '9464',
  },
  BIND_ADDRESS: {
    sentence:
      'Address that all servers listen on. Outside production, any other than loopback requires DEV_EXPOSE=yes.',
    reads: ipAddress,
    otherwise:
      'all addresses in production or with DEV_EXPOSE=yes (:: where the machine has IPv6, which accepts IPv4 too, else 0.0.0.0), else 127.0.0.1',
    example: '127.0.0.1',
  },
  DEV_EXPOSE: {
    sentence: 'Lets a service outside production listen beyond loopback. Refused in production.',
    reads: yesNo,
    default: 'no',
    example: 'yes',
  },
  PUBLIC_URL: {
    sentence:
      'Address of the service for browsers and for verifiers of access tokens: the issuer of tokens is below it. All replicas of a database need the same. Required in production, with https.',
    reads: publicUrl,
    otherwise: 'http://localhost:HTTP_PORT, https with TLS_CERT, and the issuer that the database has',
    example: 'https://auth.example.com',
  },
  SITE_URL: {
    sentence:
      'Where links in mail and sign-ins of /auth/v1 lead back to, unless the client names another place that is allowed.',
    reads: pageUrl,
    otherwise: 'FRONTEND_URL or, without it, PUBLIC_URL',
    example: 'https://app.example.com',
  },
  REDIRECT_URLS: {
    sentence:
      'Further places that links in mail and sign-ins of /auth/v1 may lead back to. Pages of SITE_URL and of loopback addresses always may.',
    reads: urlPatterns,
    otherwise: 'none',
    example: 'https://*.example.com/**,com.example.app://callback',
  },
  CORS_ORIGINS: {
    sentence: 'Origins of the web pages that may call the service. In development, pages of http://localhost may too.',
    reads: origins,
    otherwise: 'none',
    example: 'https://app.example.com,http://localhost:3000',
  },
  JSON_UNKNOWN_FIELDS: {
    sentence:
      'What happens to JSON requests with fields that the contract does not have: they are refused with the path, or read without those fields.',
    reads: choice('refuse', 'ignore'),
    otherwise: 'ignore in production, else refuse',
    example: 'refuse',
  },
  TRUSTED_PROXY_HOPS: {
    sentence: 'Number of proxies in front of the service that append to X-Forwarded-For.',
    reads: wholeNumber(0, 10),
    default: '0',
    example: '1',
  },
  REFLECTION: {
    sentence: 'Whether the gRPC server offers reflection, for tools such as grpcurl.',
    reads: onOff,
    otherwise: 'off in production, else on',
    example: 'on',
  },
} as const satisfies Settings;

/** The address that means all addresses of this machine. A socket on :: accepts IPv4 as well. */
export function allAddresses(): '::' | '0.0.0.0' {
  const addresses = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  return addresses.some(({ family }) => family === 'IPv6') ? '::' : '0.0.0.0';
}

export const tls = {
  TLS_CERT: {
    sentence:
      'Certificate of both ports, followed by its intermediate certificates. Both ports then accept TLS only. The file is read again when it changes.',
    reads: pemFile('one certificate or more'),
    otherwise: 'none: no TLS',
    example: '/run/tls/tls.crt',
  },
  TLS_KEY: {
    sentence: 'Private key of TLS_CERT.',
    reads: pemFile('a private key that is not encrypted'),
    otherwise: 'none',
    example: '/run/tls/tls.key',
  },
  TLS_CLIENT_CA: {
    sentence:
      'Authorities whose client certificates are trusted. The gRPC port then asks for a client certificate; the HTTP port never does.',
    reads: pemFile('one certificate or more'),
    otherwise: 'none: clients are not asked',
    example: '/run/tls/ca.crt',
  },
  CLIENT_CERTIFICATES: {
    sentence:
      'Whether the gRPC port refuses clients without a certificate of TLS_CLIENT_CA (required) or serves them without an identity (optional).',
    reads: choice('required', 'optional'),
    otherwise: 'required with TLS_CLIENT_CA',
    example: 'optional',
  },
  SERVICE_CERTIFICATES: {
    sentence:
      'Backends that may call as a service with a client certificate, each by a DNS or URI alternative name of the certificate, or by the common name where it has no alternative names. A scope limits the methods that a backend may call; without one it may call all methods for backends.',
    reads: serviceCertificates,
    otherwise: 'none',
    example: 'orders.internal:SessionService.Introspect,spiffe://example.com/billing:AccountService',
  },
} as const satisfies Settings;
