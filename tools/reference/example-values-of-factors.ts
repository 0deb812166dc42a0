import type { JsonObject, JsonValue } from '@bufbuild/protobuf';

export const factorId = '019ac5d2-41d8-7b5e-8c37-a90f2e6d4b15';
export const trustedDeviceId = '019ac5d4-63fa-7d70-8e59-cb204f8e6d37';
export const challengeId = '019ac5d3-52e9-7c6f-9d48-ba1f3e7d5c26';

interface Shown {
  readonly time: string;
  /** That of a sign-in by password. */
  readonly session: JsonObject;
}

/** The values of fields about second factors. */
export function valuesOfFactors({ time, session }: Shown): Readonly<Record<string, JsonValue | undefined>> {
  const totpFactor = { id: factorId, type: 'FACTOR_TYPE_TOTP', friendlyName: 'My phone', createTime: time };
  return {
    'Factor.id': factorId,
    'Factor.type': 'FACTOR_TYPE_TOTP',
    'Factor.friendly_name': 'My phone',
    'Factor.create_time': time,
    'Factor.last_use_time': undefined,
    'Factor.remaining_codes': undefined,
    'VerifyFactorResponse.factor': { ...totpFactor, verified: true, lastUseTime: time },
    'VerifyFactorResponse.session': {
      ...session,
      aal: 'ASSURANCE_LEVEL_AAL2',
      amr: [
        { method: 'totp', time },
        { method: 'password', time },
      ],
    },
    'ListFactorsResponse.factors': { ...totpFactor, verified: true, lastUseTime: time },
    'UsableFactor.id': factorId,
    'UsableFactor.type': 'FACTOR_TYPE_TOTP',
    'UsableFactor.friendly_name': 'My phone',
    'TotpSecret.secret': 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP',
    'TotpSecret.uri':
      'otpauth://totp/Example:ada%40example.org?issuer=Example&secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&algorithm=SHA1&digits=6&period=30',
    'TotpSecret.qr_code': '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 41 41">...</svg>',
    'ChallengeFactorResponse.challenge_id': challengeId,
    'ChallengeFactorResponse.type': 'FACTOR_TYPE_TOTP',
    'ChallengeFactorResponse.expire_time': '2026-11-28T09:35:00Z',
    'ChallengeFactorResponse.creation_options': undefined,
    'ChallengeFactorResponse.request_options': undefined,
    'VerifyFactorResponse.trusted_device_token': '',
    'VerifyFactorResponse.trusted_device_expire_time': undefined,
    'TrustedDevice.id': trustedDeviceId,
    'TrustedDevice.device_name': 'Firefox on Linux',
    'TrustedDevice.address': '203.0.113.7',
    'TrustedDevice.create_time': time,
    'TrustedDevice.last_use_time': time,
    'TrustedDevice.expire_time': '2026-12-28T09:30:00Z',
    'BeginStepUpResponse.challenge_id': challengeId,
    'BeginStepUpResponse.type': 'FACTOR_TYPE_TOTP',
    'BeginStepUpResponse.expire_time': '2026-11-28T09:35:00Z',
    'BeginStepUpResponse.description': 'Send 100.00 EUR to Bob',
    'BeginStepUpResponse.request_options': undefined,
    'FinishStepUpResponse.step_up_proof': 'eyJhbGciOiJFUzI1NiIsInR5cCI6InN0ZXAtdXAr...',
    'FinishStepUpResponse.expire_time': '2026-11-28T09:35:00Z',
    'GetAssuranceResponse.current_aal': 'ASSURANCE_LEVEL_AAL1',
    'GetAssuranceResponse.next_aal': 'ASSURANCE_LEVEL_AAL2',
    'GenerateRecoveryCodesResponse.codes': 'K7M2X-Q9D4T-NW5YH-BC3VP',
    'GenerateRecoveryCodesResponse.factor': {
      id: factorId,
      type: 'FACTOR_TYPE_RECOVERY_CODE',
      verified: true,
      createTime: time,
      remainingCodes: 10,
    },
  };
}
