import type { ServiceCaller } from '../rpc/context.ts';

/**
 * Identifies internal backends by their client certificates: those with a name that SERVICE_CERTIFICATES lists,
 * compared exactly. The first name of the list that the certificate contains is the backend's.
 */
export function serviceCertificateReader(listed: readonly string[], projectId: string) {
  return (names: readonly string[]): ServiceCaller | undefined => {
    const name = listed.find((each) => names.includes(each));
    return name === undefined ? undefined : { kind: 'service', projectId, name };
  };
}
