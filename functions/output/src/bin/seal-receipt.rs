//! Decides a job's outcome in the ledger and writes its receipt.

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    landfall::runtime::serve(|deployment, _| {
        let deployment = std::sync::Arc::new(deployment);
        move |input, invocation| {
            let deployment = std::sync::Arc::clone(&deployment);
            Box::pin(async move { landfall_output::seal::seal(&deployment, input, &invocation).await })
        }
    })
    .await
}
