import type { ServiceCaller } from '../rpc/context.ts';

export interface ServiceCertificate {
  readonly name: string;
  /** Undefined: all methods for backends. */
  readonly scopes?: readonly string[] | undefined;
}

/**
 * Identifies internal backends by their client certificates: those with a name that SERVICE_CERTIFICATES lists,
 * compared exactly. The first name of the list that the certificate contains is the backend's.
 */
export function serviceCertificateReader(listed: readonly ServiceCertificate[], projectId: string) {
  return (names: readonly string[]): ServiceCaller | undefined => {
    const found = listed.find((each) => names.includes(each.name));
    return found && { kind: 'service', projectId, name: found.name, scopes: found.scopes };
  };
}
