// Answers CloudFormation from the code of a custom resource: `response.send(event, context, status, data)`.
exports.SUCCESS = "SUCCESS";
exports.FAILED = "FAILED";

exports.send = function (event, context, responseStatus, responseData, physicalResourceId, noEcho) {
  return new Promise((resolve, reject) => {
    const body = JSON.stringify({
      Status: responseStatus,
      Reason: "See the details in CloudWatch Log Stream: " + context.logStreamName,
      PhysicalResourceId: physicalResourceId || context.logStreamName,
      StackId: event.StackId,
      RequestId: event.RequestId,
      LogicalResourceId: event.LogicalResourceId,
      NoEcho: noEcho || false,
      Data: responseData,
    });
    const url = new URL(event.ResponseURL);
    const client = require(url.protocol === "http:" ? "http" : "https");
    const headers = { "content-type": "", "content-length": Buffer.byteLength(body) };
    const request = client.request(url, { method: "PUT", headers }, (response) => {
      response.resume();
      response.on("end", () => {
        if (context.done) context.done();
        resolve(response.statusCode);
      });
    });
    request.on("error", (error) => {
      if (context.done) context.done(error);
      reject(error);
    });
    request.end(body);
  });
};
