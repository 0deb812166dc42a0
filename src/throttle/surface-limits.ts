/**
 * Calls per minute and client address through /auth/v1, where they differ from the contract: the servers of a web site call
 * it for all of their visitors.
 */
export const surfaceLimits: Readonly<Record<string, number>> = {
  'AuthService.Register': 30,
  'AuthService.SignIn': 30,
  'AuthService.VerifyOtp': 30,
  'AuthService.RequestMagicLink': 30,
  'AuthService.RequestPasswordReset': 30,
  'AuthService.SendVerificationEmail': 30,
  'AuthService.ResendEmailChange': 30,
};
