export { CliError, exitCodes, type Outcome } from './cli/cli-error.ts';
export { type DeviceLoginOptions, loginDevice } from './cli/device-login.ts';
export { accessTokenOf, type CliOptions, runCli } from './cli/run.ts';
