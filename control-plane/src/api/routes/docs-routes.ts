import { z } from 'zod';
import { readDocsAsset } from '../docs-assets.ts';
import { apiRoute } from '../api-route.ts';
import type { ApiRoute } from '../api-route.ts';
import { openApiDocument } from '../openapi.ts';
import { ApiError } from '../problem.ts';

/** Files of swagger-ui-dist that the page needs, with their types; nothing else of the package is served. */
const assets: ReadonlyMap<string, string> = new Map([
  ['swagger-ui.css', 'text/css; charset=utf-8'],
  ['swagger-ui-bundle.js', 'text/javascript; charset=utf-8'],
  ['favicon-32x32.png', 'image/png'],
]);

const page = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Remora control plane: API</title>
<link rel="icon" type="image/png" href="/docs/favicon-32x32.png">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
`;

const start = `SwaggerUIBundle({ url: '/openapi.json', dom_id: '#ui', deepLinking: true, defaultModelsExpandDepth: 0, displayRequestDuration: true, validatorUrl: null });
`;

/** No inline script, nothing from elsewhere. Swagger UI sets inline styles and draws its icons from data URLs. */
const pageHeaders = { 'content-security-policy': "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'" };

/** The description of the API, and a page to browse it, served from here alone. */
export function docsRoutes(options: { readonly version: string; readonly routes: () => readonly ApiRoute[] }): ApiRoute[] {
  const own: ApiRoute[] = [];
  let text: string | undefined;
  own.push(
    apiRoute({
      method: 'GET', path: '/openapi.json', operationId: 'openapi', tag: 'Schemas', right: 'open', summary: 'This API as OpenAPI 3.1',
      answers: { 200: { description: 'The document' } },
      handle: () => ({ status: 200, body: (text ??= JSON.stringify(openApiDocument([...options.routes(), ...own], options.version))), contentType: 'application/json; charset=utf-8' }),
    }),
    apiRoute({
      method: 'GET', path: '/docs', operationId: 'docs', tag: 'Schemas', right: 'open', summary: 'This API as a page to browse',
      answers: { 200: { description: 'The page', contentType: 'text/html; charset=utf-8' } },
      handle: () => ({ status: 200, body: page, contentType: 'text/html; charset=utf-8', headers: pageHeaders }),
    }),
    apiRoute({
      method: 'GET', path: '/docs/{file}', operationId: 'docsFile', tag: 'Schemas', right: 'open', summary: 'Files of that page',
      params: z.object({ file: z.string().max(100) }),
      answers: { 200: { description: 'The file', contentType: 'application/octet-stream' } }, problems: ['not-found'],
      async handle({ params: { file } }) {
        if (file === 'start.js') return { status: 200, body: start, contentType: 'text/javascript; charset=utf-8' };
        const contentType = assets.get(file);
        if (contentType === undefined) throw new ApiError('not-found', `the page has no file ${file}`);
        return { status: 200, body: await readAsset(file), contentType, headers: { 'cache-control': 'max-age=3600' } };
      },
    }),
  );
  return own;
}

async function readAsset(file: string): Promise<Buffer> {
  try {
    return await readDocsAsset(file);
  } catch (error) {
    throw new ApiError('not-found', `the files of the page are not installed here (swagger-ui-dist); /openapi.json has the same content (${(error as Error).message})`);
  }
}
