import type { ServiceCaller } from '../rpc/context.ts';

/**
 * Reads the client certificates of internal backends: those with a name that SERVICE_CERTIFICATES lists, letter by
 * letter. The first name of the list that the certificate has is the backend's.
 */
export function serviceCertificateReader(listed: readonly string[], projectId: string) {
  return (names: readonly string[]): ServiceCaller | undefined => {
    const name = listed.find((each) => names.includes(each));
    return name === undefined ? undefined : { kind: 'service', projectId, name };
  };
}
