import {
  certificateNames,
  choice,
  ipAddress,
  onOff,
  origins,
  pemFile,
  portOrOff,
  publicUrl,
  wholeNumber,
  yesNo,
} from './parsers.ts';
import type { Settings } from './setting.ts';

export const network = {
  GRPC_PORT: {
    sentence: 'The port of the gRPC server; 0 takes any free one.',
    reads: wholeNumber(0, 65_535),
    default: '50051',
    example: '50051',
  },
  HTTP_PORT: {
    sentence: 'The port of the HTTP server; 0 takes any free one. It differs from GRPC_PORT.',
    reads: wholeNumber(0, 65_535),
    default: '8080',
    example: '8080',
  },
  ADMIN_PORT: {
    sentence:
      'The port of metrics and probes for operators; 0 takes any free one, off opens none. It differs from the other two.',
    reads: portOrOff,
    default: '9090',
    example: '9464',
  },
  BIND_ADDRESS: {
    sentence: 'The address all servers listen on; outside production any but loopback needs DEV_EXPOSE=yes.',
    reads: ipAddress,
    otherwise: '0.0.0.0 in production or with DEV_EXPOSE=yes, else 127.0.0.1',
    example: '127.0.0.1',
  },
  DEV_EXPOSE: {
    sentence: 'Lets a service outside production listen beyond loopback; refused in production.',
    reads: yesNo,
    default: 'no',
    example: 'yes',
  },
  PUBLIC_URL: {
    sentence: 'The address people and token verifiers know the service by; production requires it, with https.',
    reads: publicUrl,
    otherwise: 'http://localhost:HTTP_PORT, https with TLS_CERT',
    example: 'https://auth.example.com',
  },
  CORS_ORIGINS: {
    sentence:
      'The browser origins whose pages may call the service. In development pages of http://localhost may too, whatever their port.',
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
    sentence: 'How many proxies stand in front and append to X-Forwarded-For.',
    reads: wholeNumber(0, 10),
    default: '0',
    example: '1',
  },
  REFLECTION: {
    sentence: 'Whether the gRPC server describes itself to tools such as grpcurl.',
    reads: onOff,
    otherwise: 'off in production, else on',
    example: 'on',
  },
} as const satisfies Settings;

export const tls = {
  TLS_CERT: {
    sentence:
      'The certificate that both ports show, then its intermediates; with it both speak TLS only. Read again when it changes.',
    reads: pemFile('one certificate or more'),
    otherwise: 'none: no TLS',
    example: '/run/tls/tls.crt',
  },
  TLS_KEY: {
    sentence: 'The private key of TLS_CERT.',
    reads: pemFile('a private key that is not encrypted'),
    otherwise: 'none',
    example: '/run/tls/tls.key',
  },
  TLS_CLIENT_CA: {
    sentence:
      'The authorities whose client certificates are trusted; with it the gRPC port asks for one, the HTTP port never.',
    reads: pemFile('one certificate or more'),
    otherwise: 'none: clients are not asked',
    example: '/run/tls/ca.crt',
  },
  CLIENT_CERTIFICATES: {
    sentence:
      'Whether the gRPC port cuts off clients without a certificate of TLS_CLIENT_CA, or serves them as anybody.',
    reads: choice('required', 'optional'),
    otherwise: 'required with TLS_CLIENT_CA',
    example: 'optional',
  },
  SERVICE_CERTIFICATES: {
    sentence:
      'The backends that may call as a service by their client certificate: a DNS or URI alternative name of it, or the common name of one that has no alternative names.',
    reads: certificateNames,
    otherwise: 'none',
    example: 'orders.internal,spiffe://example.com/billing',
  },
} as const satisfies Settings;
