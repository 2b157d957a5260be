// Requests to the service this page came from. What is refused arrives as a Refused with the problem document.
import { currentKey } from "./key.js";

export class Refused extends Error {
  constructor(problem) {
    super(problem.title);
    this.problem = problem;
  }
}

export async function request(path, { method = "GET", body, signal } = {}) {
  const headers = { Accept: "application/json" };
  if (body) headers["Content-Type"] = "application/json";
  if (currentKey()) headers.Authorization = `Bearer ${currentKey()}`;
  const response = await fetch(path, { method, signal, headers, body: body && JSON.stringify(body), credentials: "same-origin" });
  if (response.ok) return response;
  let problem;
  try { problem = await response.json(); } catch { /* something between the page and the service answered */ }
  throw new Refused(problem?.code ? problem : {
    code: "unknown", status: response.status, retryable: response.status >= 500,
    title: "The service gave no usable answer", detail: `It sent status ${response.status} without saying why.`,
  });
}

export const getJson = async (path) => (await request(path)).json();
export const postJson = async (path, body) => (await request(path, { method: "POST", body })).json();
